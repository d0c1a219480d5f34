from django.urls import path

from messaging.chats.api import views

urlpatterns = [
    path("chats", views.ChatsView.as_view()),
    path("chats/<str:chat_id>", views.ChatView.as_view()),
    path("chats/<str:chat_id>/export", views.ChatExportView.as_view()),
    path("chats/<str:chat_id>/read", views.ReadChatView.as_view()),
    path("chats/<str:chat_id>/typing", views.TypingView.as_view()),
    path("messages/<str:message_id>/read", views.ReadMessageView.as_view()),
]
