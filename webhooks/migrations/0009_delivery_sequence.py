from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import OuterRef, Q, Subquery


def take_from_events(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    event = apps.get_model("webhooks", "Event").objects.filter(pk=OuterRef("event"))
    apps.get_model("webhooks", "Delivery").objects.update(sequence=Subquery(event.values("sequence")))


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0008_lanes")]

    operations = [
        migrations.AddField("delivery", "sequence", models.PositiveBigIntegerField(default=0), preserve_default=False),
        migrations.RunPython(take_from_events, migrations.RunPython.noop, elidable=True),
        migrations.RemoveIndex("delivery", "delivery_lane"),
        migrations.AddIndex(
            "delivery",
            models.Index(
                fields=["endpoint", "lane", "sequence"],
                name="delivery_lane",
                condition=Q(next_attempt_at__isnull=False) & ~Q(lane=""),
            ),
        ),
    ]
