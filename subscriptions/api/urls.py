from django.urls import path

from subscriptions.api import views

urlpatterns = [
    path("plans", views.PlansView.as_view()),
    path("subscription", views.SubscriptionView.as_view()),
    path("usage", views.UsageView.as_view()),
]
