from django.db import migrations

PLANS = [
    ("basic", "Basic", 1, 5, 10_000, 6_000),
    ("pro", "Pro", 2, 20, 50_000, 15_000),
    ("max", "Max", 3, 40, 100_000, 30_000),
]
COLUMNS = ("code", "name", "position", "instances", "messages_per_month", "requests_per_minute")


def create_plans(apps, schema_editor):
    plan = apps.get_model("subscriptions", "Plan")
    plan.objects.bulk_create(plan(**dict(zip(COLUMNS, row))) for row in PLANS)


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_initial")]

    operations = [migrations.RunPython(create_plans, migrations.RunPython.noop)]
