from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    name = "subscriptions"

    def ready(self) -> None:
        from accounts.services import organization_created
        from config.api import limits
        from subscriptions.selectors import requests_per_minute
        from subscriptions.services import subscribe_to_basic

        limits.organization_rate = requests_per_minute
        organization_created.append(subscribe_to_basic)
