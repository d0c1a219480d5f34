from django.urls import path

from instances.api import views

urlpatterns = [
    path("instances", views.InstancesView.as_view()),
    path("instances/<str:instance_id>", views.InstanceView.as_view()),
    path("instances/<str:instance_id>/connect", views.ConnectView.as_view()),
    path("instances/<str:instance_id>/stop", views.StopView.as_view()),
    path("instances/<str:instance_id>/qr", views.QrView.as_view()),
    path("instances/<str:instance_id>/pairing-code", views.PairingCodeView.as_view()),
]
