from django.urls import path

from messaging.calls.api import views

urlpatterns = [
    path("instances/<str:instance_id>/calls", views.CallsView.as_view()),
    path("instances/<str:instance_id>/calls/<str:call_id>/reject", views.RejectCallView.as_view()),
]
