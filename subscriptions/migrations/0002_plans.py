from django.db import migrations

PLANS = [("basic", "Basic", 5, 10_000), ("pro", "Pro", 20, 50_000), ("max", "Max", 40, 100_000)]


def create_plans(apps, schema_editor):
    plan = apps.get_model("subscriptions", "Plan")
    for code, name, instances, messages in PLANS:
        plan.objects.get_or_create(
            code=code, defaults={"name": name, "instances": instances, "messages_per_month": messages}
        )


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_initial")]

    operations = [migrations.RunPython(create_plans, migrations.RunPython.noop)]
