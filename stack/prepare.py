"""``python -m stack.prepare``: the database up to date and the development data in it, in one process.

Prints the JSON of ``manage.py seed_development`` and nothing else on standard output. Ends with 2 for a setting
that cannot be, said in one line, and with 1 for a database that cannot be used.
"""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis import Redis, RedisError

from instances.whatsapp.keydatabase import KeyStoreUnusable


def main() -> int:
    try:
        django.setup()
        from instances.keystores import check as check_key_store

        Redis.from_url(settings.REDIS_URL, socket_connect_timeout=5).ping()
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=1, stdout=sys.stderr)
        for network in settings.KEY_STORE_URLS:
            check_key_store(network)
        call_command("seed_development", json=True)
    except ImproperlyConfigured as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyStoreUnusable as error:
        print(error, file=sys.stderr)
        return 2
    except RedisError as error:
        print(f"REDIS_URL cannot be used: {error}", file=sys.stderr)
        return 2
    except (CommandError, DatabaseError) as error:
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
