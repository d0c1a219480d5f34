from django.apps import AppConfig


class InstancesConfig(AppConfig):
    name = "instances"

    def ready(self) -> None:
        from accounts.api_keys import known_instances
        from accounts.organizations import organization_resumed, organization_suspended
        from config import metrics
        from config.api import health
        from instances.access import instance
        from instances.metrics import READINGS
        from instances.selectors import check_workers, count, known, there
        from instances.suspension import reconnect_all, stop_all
        from subscriptions.selectors import instance_counters
        from webhooks import catalogue, handlers, pruning

        health.checks["session_workers"] = check_workers
        instance_counters.append(count)
        catalogue.sources.append("instances.api.event_shapes")
        handlers.instance_checks.append(instance)
        metrics.readings.update(READINGS)
        known_instances.append(known)
        pruning.existing.append(there)
        organization_suspended.append(stop_all)
        organization_resumed.append(reconnect_all)
