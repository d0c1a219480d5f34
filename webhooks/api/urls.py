from django.urls import path

from webhooks.api import delivery_views, event_types, events, views

urlpatterns = [
    path("webhooks", views.EndpointsView.as_view()),
    path("webhooks/<str:endpoint_id>", views.EndpointView.as_view()),
    path("webhooks/<str:endpoint_id>/rotate-secret", views.RotateSecretView.as_view()),
    path("webhooks/<str:endpoint_id>/test", views.TestView.as_view()),
    path("webhooks/<str:endpoint_id>/deliveries", delivery_views.DeliveriesView.as_view()),
    path("webhooks/<str:endpoint_id>/deliveries/<str:delivery_id>", delivery_views.DeliveryView.as_view()),
    path("webhooks/<str:endpoint_id>/deliveries/<str:delivery_id>/resend", delivery_views.ResendView.as_view()),
    path("deliveries/<str:delivery_id>/resend", delivery_views.ResendByIdView.as_view()),
    path("webhooks/<str:endpoint_id>/recover", delivery_views.RecoverView.as_view()),
    path("webhooks/<str:endpoint_id>/replay", delivery_views.ReplayEventsView.as_view()),
    path("webhooks/<str:endpoint_id>/replays", delivery_views.ReplaysView.as_view()),
    path("webhooks/<str:endpoint_id>/replays/<str:replay_id>", delivery_views.ReplayView.as_view()),
    path("events", events.EventsView.as_view()),
    path("event-types", event_types.EventTypesView.as_view()),
    path("events/ticket", views.TicketView.as_view()),
]
