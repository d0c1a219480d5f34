import config.ids
from django.db import migrations, models
from django.db.models import F


def keep_instances(apps, schema_editor):
    """Until now every stream was an instance's."""
    apps.get_model("webhooks", "Counter").objects.update(instance_id=F("stream"))


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0001_initial")]

    operations = [
        migrations.RenameField("counter", "instance_id", "stream"),
        migrations.AlterField("counter", "stream", models.UUIDField(editable=False, primary_key=True, serialize=False)),
        migrations.AddField("counter", "instance_id", config.ids.TypeIDField(null=True, prefix="ins")),
        migrations.RunPython(keep_instances, migrations.RunPython.noop, elidable=True),
        migrations.AlterField("event", "instance_id", config.ids.TypeIDField(null=True, prefix="ins")),
        migrations.AddConstraint(
            "event",
            models.UniqueConstraint(
                condition=models.Q(instance_id=None),
                fields=("organization", "network", "sequence"),
                name="event_sequence_of_organization",
            ),
        ),
    ]
