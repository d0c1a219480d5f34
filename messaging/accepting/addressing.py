"""The instances that messages are to be sent through: looked up for many at once, and whether they can send."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from config.api.problems import Problem
from config.ids import InvalidId, to_uuid
from instances.models import Instance
from instances.states import ENDED, Wanted

# By hand: the ORM takes longer to build this query than the database to answer it.
_INSTANCES = """
SELECT i.id, i.organization_id, i.network, i.name, i.wanted, i.state, i.device_jid, i.phone, i.lid, i.settings,
  w.queue
FROM instances_instance i LEFT JOIN instances_worker w ON w.id = i.holder_id
WHERE i.id IN ({}) AND i.deleted_at IS NULL
"""


def instances(ids: Iterable[str]) -> dict[str, Instance]:
    """Those that there are, whosesoever, with the ``queue`` of the worker that holds them; one query."""
    asked = {id_ for id_ in ids if _is_id(id_)}
    if not asked:
        return {}
    key = Instance._meta.get_field("id")
    places = ", ".join(["%s"] * len(asked))
    rows = Instance.objects.raw(_INSTANCES.format(places), [key.get_db_prep_value(id_, connection) for id_ in asked])
    return {row.id: row for row in rows}


def _is_id(text: str) -> bool:
    try:
        to_uuid(text, "ins")
    except InvalidId:
        return False
    return True


def check_can_send(instance: Instance) -> None:
    """Raises Problem ``instance_not_linked``, ``instance_stopped`` or ``instance_unavailable``.

    An instance that is merely reconnecting may send: its messages wait in the lane.
    """
    if not instance.linked:
        raise Problem("instance_not_linked", "Link it first: connect, then scan the QR code.")
    if instance.wanted != Wanted.CONNECTED:
        raise Problem("instance_stopped", "Call connect first.")
    if instance.state in ENDED:
        raise Problem("instance_unavailable", f"The instance is {instance.state}.", state=instance.state)
