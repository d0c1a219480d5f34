from django.urls import path

from messaging.contacts.api import views

urlpatterns = [
    path("contacts", views.ContactsView.as_view()),
    path("contacts/check", views.CheckView.as_view()),
    path("contacts/resolve-link", views.ResolveLinkView.as_view()),
    path("contacts/<str:contact>", views.ContactView.as_view()),
    path("contacts/<str:contact>/picture", views.ContactPictureView.as_view()),
    path("contacts/<str:contact>/presence", views.ContactPresenceView.as_view()),
    path("contacts/<str:contact>/export", views.ContactExportView.as_view()),
    path("erasures/<str:erasure_id>", views.ErasureView.as_view()),
]
