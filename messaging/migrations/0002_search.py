from django.db import migrations

from messaging.finding import search


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial")]

    operations = [migrations.RunPython(lambda apps, editor: search.create(editor.connection))]
