from django.db import migrations
from django.utils import timezone

from subscriptions.periods import period_at

PLANS = {"basic": (1, 6_000), "pro": (2, 15_000), "max": (3, 30_000)}


def fill(apps, schema_editor):
    plan = apps.get_model("subscriptions", "Plan")
    subscription = apps.get_model("subscriptions", "Subscription")
    meter = apps.get_model("subscriptions", "Meter")
    for code, (position, rate) in PLANS.items():
        plan.objects.filter(pk=code).update(position=position, requests_per_minute=rate)
    for row in subscription.objects.select_related("plan").iterator():
        starts_at, ends_at = period_at(row.started_at, timezone.now())
        limit = row.plan.messages_per_month
        for network in ("sandbox", "whatsapp"):
            meter.objects.get_or_create(
                organization_id=row.organization_id,
                network=network,
                defaults={
                    "limit": limit,
                    "starts_at": starts_at,
                    "ends_at": ends_at,
                    "alert_at": -(-limit * 80 // 100),
                },
            )


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0003_meters")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
