from django.urls import path

from webhooks.api import views

urlpatterns = [
    path("webhooks", views.EndpointsView.as_view()),
    path("webhooks/<str:endpoint_id>", views.EndpointView.as_view()),
    path("webhooks/<str:endpoint_id>/deliveries", views.DeliveriesView.as_view()),
    path("events/ticket", views.TicketView.as_view()),
]
