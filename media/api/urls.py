from django.urls import path

from media.api import views

urlpatterns = [
    path("media", views.MediaView.as_view()),
    path("media/<str:media_id>", views.OneMediaView.as_view()),
    path("media/<str:media_id>/fetch", views.FetchView.as_view()),
    path("media/<str:media_id>/content", views.ContentView.as_view()),
]
