"""Against an S3-compatible server: moto's, on loopback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from conftest import Person
from media import renditions, services, storing
from media.models import Garbage, Media, Rendition
from media.tests.conftest import picture

pytestmark = [pytest.mark.django_db, pytest.mark.only_with("sqlite")]
_KEYS = {"region_name": "us-east-1", "aws_access_key_id": "key", "aws_secret_access_key": "secret"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, settings: Settings) -> Any:
    """Files are kept in a bucket of the server."""
    found = boto3.resource("s3", endpoint_url=server, **_KEYS).Bucket("files")
    found.create()
    options = {"bucket_name": "files", "endpoint_url": server, "access_key": "key", "secret_key": "secret"}
    options |= {"region_name": "us-east-1", "addressing_style": "path", "signature_version": "s3v4"}
    options |= {"default_acl": None, "querystring_expire": 60, "file_overwrite": False}
    backend = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": backend}
    yield found
    found.objects.all().delete()
    found.delete()


def stored(alice: Person, content: bytes, filename: str = "") -> Media:
    digest = hashlib.sha256(content).hexdigest()
    file = ContentFile(content)
    return services.store(actor=alice.actor, content=file, sha256=digest, source="upload", filename=filename)


def test_a_file_lies_in_the_bucket_and_is_read_through_a_presigned_link(alice: Person, bucket: Any) -> None:
    media = stored(alice, picture(), "a.jpg")
    assert [one.key for one in bucket.objects.all()] == [media.file]
    link = alice.client.get(f"/api/media/{media.id}").json()["url"]
    answer = httpx.get(link)
    assert (answer.status_code, answer.content) == (200, picture())
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["content-disposition"] == 'inline; filename="a.jpg"'
    redirect = alice.client.get(f"/api/media/{media.id}/content")
    assert redirect.status_code == 302
    assert httpx.get(redirect["Location"]).content == picture()


def test_what_a_browser_could_run_is_downloaded_from_there_too(alice: Person, bucket: Any) -> None:
    media = stored(alice, b"<html><script>alert(1)</script>", "a.html")
    answer = httpx.get(alice.client.get(f"/api/media/{media.id}").json()["url"])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; ")


def test_a_rendition_is_made_of_a_file_in_the_bucket(alice: Person, bucket: Any) -> None:
    media = stored(alice, picture(form="WEBP"))
    services.begin(media_id=media.id, kind="image")
    renditions.worklist().run()
    rendition = Rendition.objects.get()
    assert rendition.status == "ready", rendition.error_detail
    with default_storage.open(rendition.file) as file:
        assert file.read(3) == b"\xff\xd8\xff"


def test_a_deleted_file_leaves_the_bucket(alice: Person, bucket: Any) -> None:
    services.delete(media=stored(alice, picture()))
    assert storing.collect() == 1
    assert list(bucket.objects.all()) == []
    assert not Garbage.objects.exists()
