from django.urls import path

from messaging.profile.api import views

urlpatterns = [
    path("instances/<str:instance_id>/profile", views.ProfileView.as_view()),
    path("instances/<str:instance_id>/profile/picture", views.ProfilePictureView.as_view()),
    path("instances/<str:instance_id>/presence", views.PresenceView.as_view()),
    path("instances/<str:instance_id>/privacy", views.PrivacyView.as_view()),
    path("instances/<str:instance_id>/blocks", views.BlocksView.as_view()),
    path("instances/<str:instance_id>/blocks/<str:contact>", views.BlockView.as_view()),
    path("instances/<str:instance_id>/contact-link", views.ContactLinkView.as_view()),
    path("instances/<str:instance_id>/contact-link/revoke", views.RevokeContactLinkView.as_view()),
]
