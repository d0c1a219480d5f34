from django.db import migrations

from messaging.finding import search
from messaging.finding.searchable import text_of


def _fill(apps, editor):
    """Messages of before have no words."""
    messages = apps.get_model("messaging", "Message").objects
    for row in messages.only("pk", "type", "content").iterator(chunk_size=500):
        if text := text_of(row.type, row.content):
            messages.filter(pk=row.pk).update(text=text)


class Migration(migrations.Migration):
    dependencies = [("messaging", "0005_history_parts")]

    operations = [
        migrations.RunPython(lambda apps, editor: search.create(editor.connection)),
        migrations.RunPython(_fill),
    ]
