from django.apps import AppConfig


class SubscriptionsConfig(AppConfig):
    name = "subscriptions"

    def ready(self) -> None:
        from accounts.services import organization_created
        from subscriptions.services import subscribe_to_basic

        organization_created.append(subscribe_to_basic)
