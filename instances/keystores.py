"""Where the keys of which instance are: KEY_STORE_URL and SANDBOX_KEY_STORE_URL choose for new links."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from instances.models import Instance, KeyStore
from instances.whatsapp import keydatabase
from instances.whatsapp.databasestore import DatabaseStore, KeyDatabase
from instances.whatsapp.filestore import FileStore
from instances.whatsapp.store import Store

VARIABLES = {"whatsapp": "KEY_STORE_URL", "sandbox": "SANDBOX_KEY_STORE_URL"}


@cache
def _database(url: str) -> KeyDatabase:
    return KeyDatabase(url)


def database_of(network: str) -> KeyDatabase:
    """The key database of a network; without an address one that is always away."""
    return _database(settings.KEY_STORE_URLS[network])


def store_in(kind: str, instance: Instance) -> Store:
    """An instance's place in a kind of store."""
    if kind == KeyStore.POSTGRES:
        return DatabaseStore(instance.id, database_of(instance.network))
    return FileStore(instance.id)


def store_of(instance: Instance) -> Store:
    """The store of its link; without one, that into which it would be linked."""
    if instance.linked:
        return store_in(instance.key_store, instance)
    return store_in(KeyStore.POSTGRES if configured(KeyStore.POSTGRES, instance.network) else KeyStore.FILE, instance)


def configured(kind: str, network: str) -> bool:
    """Whether there may be such stores."""
    return kind == KeyStore.FILE or bool(settings.KEY_STORE_URLS[network])


def check(network: str) -> None:
    """Look whether the key database of a network, if it has one, can be used. Raises KeyStoreUnusable."""
    if settings.KEY_STORE_URLS[network]:
        keydatabase.check(database_of(network), VARIABLES[network], network)


def prepare(network: str) -> None:
    """Make it ready for session workers. Raises KeyStoreUnusable."""
    if settings.KEY_STORE_URLS[network]:
        keydatabase.prepare(database_of(network), VARIABLES[network], network)
