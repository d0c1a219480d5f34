from django.urls import path

from messaging.api import views

urlpatterns = [
    path("messages", views.MessagesView.as_view()),
    path("messages/batch", views.BatchView.as_view()),
    path("instances/<str:instance_id>/cold-hold/resume", views.ResumeColdHoldView.as_view()),
    path("messages/<str:message_id>", views.MessageView.as_view()),
]
