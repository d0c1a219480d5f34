from django.urls import path

from messaging.contacts.api import views

urlpatterns = [
    path("contacts/<str:contact>", views.ContactView.as_view()),
    path("contacts/<str:contact>/export", views.ContactExportView.as_view()),
    path("erasures/<str:erasure_id>", views.ErasureView.as_view()),
]
