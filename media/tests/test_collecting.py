from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from config.ids import first_id
from conftest import Person
from media import budget, renditions, services, storing, tasks
from media.models import Garbage, Media, Rendition, Storage
from media.tests.conftest import picture
from media.worklist import Worklist
from subscriptions.models import Plan

pytestmark = pytest.mark.django_db
Stored = Callable[..., Media]


def files() -> list[Path]:
    root = Path(default_storage.location)  # type: ignore[attr-defined]
    return [path for path in root.rglob("*") if path.is_file()] if root.exists() else []


def test_a_file_that_no_row_came_to_name_is_deleted_later(alice: Person) -> None:
    storing.keep(alice.organization.id, ContentFile(b"left by a process that died"))
    assert storing.collect() == 0
    Garbage.objects.update(due_at=timezone.now())
    assert storing.collect() == 1
    assert files() == []


def test_an_expired_file_goes_with_its_renditions_and_gives_its_room_back(alice: Person, stored: Stored) -> None:
    media = stored(alice, picture(form="WEBP"))
    services.begin(media_id=media.id, kind="image")
    renditions.worklist().run()
    assert len(files()) == 2
    assert Storage.objects.get().bytes == sum(path.stat().st_size for path in files())
    tasks.collect()
    assert len(files()) == 2
    Media.objects.update(expires_at=timezone.now())
    tasks.collect()
    assert (files(), Storage.objects.get().bytes) == ([], 0)
    media.refresh_from_db()
    assert (media.status, Rendition.objects.get().error_code) == ("expired", "media_expired")


def test_a_file_that_was_stored_since_somebody_looked_goes_whole(alice: Person, stored: Stored) -> None:
    seen_before = Media.objects.get(pk=stored(alice, picture(form="WEBP")).pk)
    seen_before.status, seen_before.file = "pending", ""
    services.begin(media_id=seen_before.id, kind="image")
    renditions.worklist().run()
    services.delete(media=seen_before)
    tasks.collect()
    assert (files(), Storage.objects.get().bytes, Garbage.objects.count()) == ([], 0, 0)


def test_the_row_of_a_file_that_ended_goes_with_the_messages_of_its_time(alice: Person, stored: Stored) -> None:
    Plan.objects.update(message_retention_days=30)
    long_ago = timezone.now() - timedelta(days=31)
    ended, kept = stored(alice, picture()), stored(alice, picture())
    Media.objects.filter(pk=kept.pk).update(id=first_id(long_ago, "med"), last_used_at=long_ago)
    services.delete(media=ended)
    Media.objects.filter(pk=ended.pk).update(id=first_id(long_ago + timedelta(seconds=1), "med"))
    tasks.collect()
    assert Media.objects.count() == 2
    Media.objects.filter(status="expired").update(last_used_at=long_ago)
    tasks.collect()
    assert Media.objects.get().status == "stored"


def test_what_failed_for_want_of_room_is_made_when_there_is_some(
    alice: Person, stored: Stored, settings: Settings
) -> None:
    media = stored(alice, picture(form="WEBP"))
    for quota, status in ((media.size, "failed"), (settings.MEDIA_QUOTA_BYTES, "ready")):
        settings.MEDIA_QUOTA_BYTES = quota
        services.begin(media_id=media.id, kind="image")
        renditions.worklist().run()
        assert Rendition.objects.get().status == status


def test_one_organization_leaves_places_to_the_others(alice: Person, charlie: Person) -> None:
    now = timezone.now()
    rows = [Media(organization=alice.organization, source="link", due_at=now) for _ in range(60)]
    rows.append(Media(organization=charlie.organization, source="link", due_at=now + timedelta(microseconds=1)))
    Media.objects.bulk_create(rows)
    order: list[str] = []

    def work(row: Media) -> None:
        order.append(row.organization_id)
        work_list.run()  # another thread, as it were, while this one is at it
        Media.objects.filter(pk=row.pk).update(due_at=None)

    due = Media.objects.filter(due_at__isnull=False)
    work_list = Worklist("test", 2, timedelta(minutes=1), due.all, "organization_id", work)
    work_list.run()
    assert order[:2] == [alice.organization.id, charlie.organization.id]
    assert len(order) == 61


def test_what_met_an_absent_database_is_done_when_it_is_back(alice: Person) -> None:
    row = Media.objects.create(organization=alice.organization, source="link", due_at=timezone.now())
    attempts = []

    def work(claimed: Media) -> None:
        attempts.append(claimed.attempts)
        if len(attempts) == 1:
            raise OperationalError("the database is away")
        Media.objects.filter(pk=row.pk).update(due_at=None)

    due = Media.objects.filter(due_at__isnull=False)
    Worklist("test", 2, timedelta(minutes=1), due.all, "organization_id", work).run()
    assert attempts == [1, 1]


def test_received_files_go_when_the_plan_keeps_messages_no_longer(alice: Person, stored: Stored) -> None:
    Plan.objects.update(message_retention_days=30)
    received, uploaded = stored(alice, picture()), stored(alice, picture())
    Media.objects.filter(pk=received.pk).update(source="inbound", expires_at=None)
    for media, days in ((received, 29), (uploaded, 31)):
        moved = first_id(timezone.now() - timedelta(days=days), "med")
        Media.objects.filter(pk=media.pk).update(id=moved)
    tasks.collect()
    assert Media.objects.count() == 2
    moved = first_id(timezone.now() - timedelta(days=31, seconds=1), "med")
    Media.objects.filter(source="inbound").update(id=moved)
    tasks.collect()
    assert [row.source for row in Media.objects.all()] == ["upload"]
    assert len(files()) == 1


def test_a_file_that_is_used_again_stays(alice: Person, stored: Stored) -> None:
    media = stored(alice, picture())
    long_ago = timezone.now() - timedelta(days=29)
    Media.objects.update(last_used_at=long_ago, expires_at=timezone.now() + timedelta(days=1))
    services.used([media.id])
    media.refresh_from_db()
    assert media.expires_at is not None
    assert media.expires_at > timezone.now() + timedelta(days=29)


def test_the_collector_survives_a_file_that_is_gone_already(alice: Person, stored: Stored) -> None:
    media = stored(alice, picture())
    files()[0].unlink()
    services.delete(media=media)
    assert storing.collect() == 1


def test_what_a_killed_process_was_writing_is_deleted_later(settings: Settings) -> None:
    with storing.workplace() as folder:
        (folder / "file").write_bytes(b"half of it")
        left = [settings.MEDIA_INCOMING_DIR / "a.upload", settings.MEDIA_INCOMING_DIR / "killed"]
        left[0].write_bytes(b"half")
        left[1].mkdir()
        (left[1] / "file").write_bytes(b"half")
        tasks.collect()
        assert all(path.exists() for path in left)
        long_ago = time.time() - 3601
        for path in (*left, left[1] / "file", folder):
            os.utime(path, (long_ago, long_ago))
        tasks.collect()
        assert not any(path.exists() for path in left)
        assert (folder / "file").exists()  # it is still being written


def test_a_process_holds_no_more_bytes_than_it_may(settings: Settings) -> None:
    settings.MEDIA_HELD_BYTES = 100
    held = budget.Budget()
    with held.hold(60):
        assert held.held == 60
        assert not held._has_room(60)
        with held.hold(40):
            assert held.held == 100
    with held.hold(1000):  # larger than all of it, so alone
        assert not held._has_room(1)
    assert held.held == 0
