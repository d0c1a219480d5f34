from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from audit import verification
from audit.hashing import digest
from audit.models import NO_HASH, Chain, Entry
from audit.services import record
from audit.tests.tampering import triggers_off
from config.ids import new_id

pytestmark = pytest.mark.django_db


def verify(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of the command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("audit_verify", *arguments, stdout=out, stderr=err, no_color=True)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def organization_id(monkeypatch: pytest.MonkeyPatch) -> str:
    """An organization with five entries beside two of the platform; chains are read in small steps."""
    monkeypatch.setattr(verification, "_CHUNK", 2)
    organization_id = new_id("org")
    for number in range(5):
        record("key:created", organization_id=organization_id, subject=f"key_{number}", changes={"number": number})
    record("user:login_failed", organization_id=None)
    record("user:logged_in", organization_id=None)
    return organization_id


def tamper(statement: str, *parameters: object) -> None:
    with triggers_off(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def entry(organization_id: str, sequence: int) -> Entry:
    return Entry.objects.get(organization_id=organization_id, sequence=sequence)


def forge(row: Entry) -> None:
    """Save a changed row with the hash that fits it."""
    row.hash = digest(row)
    with triggers_off():
        row.save()


def test_an_untouched_log_is_intact_and_its_heads_are_printed(organization_id: str) -> None:
    code, out, err = verify()
    assert (code, err) == (0, "2 chains, 7 entries: intact\n")
    assert out.splitlines() == [f"{row.name} {row.sequence} {row.hash}" for row in Chain.objects.order_by("name")]


def test_one_organization_can_be_verified_alone(organization_id: str) -> None:
    forge_of = Entry.objects.get(organization_id=None, sequence=1)
    forge_of.subject = "somebody else"
    forge(forge_of)
    assert verify()[0] == 1
    assert verify("--organization", organization_id)[0] == 0


def _edited(organization_id: str) -> None:
    tamper("UPDATE audit_entry SET subject = 'key_9' WHERE subject = 'key_2'")


def _edited_in_its_changes(organization_id: str) -> None:
    row = entry(organization_id, 3)
    row.changes = {"number": 3}
    with triggers_off():
        row.save()


def _edited_with_its_hash(organization_id: str) -> None:
    row = entry(organization_id, 3)
    row.actor_name = "mallory@example.com"
    forge(row)


def _last_edited_with_its_hash(organization_id: str) -> None:
    row = entry(organization_id, 5)
    row.actor_name = "mallory@example.com"
    forge(row)


def _removed(organization_id: str) -> None:
    tamper("DELETE FROM audit_entry WHERE subject = 'key_2'")


def _removed_and_renumbered(organization_id: str) -> None:
    _removed(organization_id)
    for sequence in (4, 5):
        row = entry(organization_id, sequence)
        row.sequence -= 1
        forge(row)


def _truncated(organization_id: str) -> None:
    tamper("DELETE FROM audit_entry WHERE subject IN ('key_3', 'key_4')")


def _emptied(organization_id: str) -> None:
    tamper("DELETE FROM audit_entry")


def _inserted(organization_id: str) -> None:
    row = entry(organization_id, 5)
    row.pk, row.sequence, row.previous = new_id("aud"), 6, row.hash
    forge(row)


def _reordered(organization_id: str) -> None:
    second, third = entry(organization_id, 2), entry(organization_id, 3)
    with triggers_off():
        Entry.objects.filter(pk=second.pk).update(sequence=100)
        Entry.objects.filter(pk=third.pk).update(sequence=2)
        Entry.objects.filter(pk=second.pk).update(sequence=3)


def _moved_to_another_chain(organization_id: str) -> None:
    row = entry(organization_id, 5)
    row.organization_id, row.sequence, row.previous = new_id("org"), 1, NO_HASH
    forge(row)


def _head_set_back(organization_id: str) -> None:
    _truncated(organization_id)
    with triggers_off():
        Chain.objects.filter(pk=organization_id).update(sequence=2, hash=entry(organization_id, 3).hash)


def _head_removed(organization_id: str) -> None:
    tamper("DELETE FROM audit_chain WHERE name <> 'platform'")


def _trigger_removed(organization_id: str) -> None:
    with connection.cursor() as cursor:
        on = " ON audit_entry" if connection.vendor == "postgresql" else ""
        name = "audit_entry_keep" if connection.vendor == "postgresql" else "audit_entry_keep_update"
        cursor.execute(f"DROP TRIGGER {name}{on}")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_edited, "entry 3 .* was changed"),
        (_edited_in_its_changes, "entry 3 .* was changed"),
        (_edited_with_its_hash, "entry 4 .* does not follow"),
        (_last_edited_with_its_hash, "the head does not fit entry 5"),
        (_removed, "entries 3 to 3 are missing"),
        (_removed_and_renumbered, "does not follow"),
        (_truncated, "entries 4 to 5 are missing at the end"),
        (_emptied, "entries 1 to 5 are missing at the end"),
        (_inserted, "1 entries stand after the head"),
        (_reordered, "does not follow"),
        (_moved_to_another_chain, "the head is missing"),
        (_head_set_back, "stand after the head|does not fit"),
        (_head_removed, "the head is missing"),
        (_trigger_removed, "1 of the triggers"),
    ],
)
def test_damage_is_found(organization_id: str, damage: Callable[[str], None], words: str) -> None:
    damage(organization_id)
    code, _, err = verify()
    assert code == 1
    assert re.search(words, err), err


def test_a_chain_cut_off_together_with_its_head_is_found_by_an_anchor(organization_id: str, tmp_path: Path) -> None:
    anchors = tmp_path / "heads"
    anchors.write_text(verify()[1])
    record("key:created", organization_id=organization_id)
    assert verify("--anchors", str(anchors))[0] == 0
    with triggers_off():
        Entry.objects.filter(organization_id=organization_id, sequence__gt=3).delete()
        Chain.objects.filter(pk=organization_id).update(sequence=3, hash=entry(organization_id, 3).hash)
    assert verify()[0] == 0
    code, _, err = verify("--anchors", str(anchors))
    assert (code, "anchored entry 5 is missing" in err) == (1, True)
    with triggers_off():
        Entry.objects.filter(organization_id=organization_id).delete()
        Chain.objects.filter(pk=organization_id).delete()
    assert verify()[0] == 0
    assert "the whole chain is gone" in verify("--anchors", str(anchors))[2]


def test_a_file_that_holds_no_anchors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("hello\n")
    with pytest.raises(CommandError, match="Line 1"):
        verify("--anchors", str(tmp_path / "heads"))
