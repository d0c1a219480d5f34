from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from pytest_django import Settings
from rest_framework.test import APIClient

from conftest import Person, assert_problem
from media.api import views
from media.models import Garbage, Media, Storage
from media.tests.conftest import picture

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
pytestmark = pytest.mark.django_db


def upload(client: APIClient, content: bytes, name: str = "picture.jpg", **fields: Any) -> Any:
    file = SimpleUploadedFile("x", content, content_type="image/jpeg")
    file.name = name
    file._name = name  # as a client that does not clean names would send it
    return client.post("/api/media", {"file": file, **fields}, format="multipart")


def test_a_form_uploads_a_file(alice: Person) -> None:
    content = picture()
    answer = upload(alice.client, content)
    assert answer.status_code == 201
    body = answer.json()
    assert (body["status"], body["source"], body["mime_type"]) == ("stored", "upload", "image/jpeg")
    assert (body["size"], body["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert body["filename"] == "picture.jpg"
    media = Media.objects.get()
    with default_storage.open(media.file) as file:
        assert file.read() == content
    assert Storage.objects.get().bytes == len(content)
    assert not Garbage.objects.exists()


@pytest.mark.parametrize("prefix", ["", "data:image/jpeg;base64,"])
def test_json_uploads_a_file_as_base64(alice: Person, prefix: str) -> None:
    content = picture()
    data = prefix + base64.b64encode(content).decode()
    answer = alice.client.post("/api/media", {"data": data, "filename": "a.jpg"}, format="json")
    assert (answer.status_code, answer.json()["size"]) == (201, len(content))
    assert answer.json()["source"] == "data"


def test_the_url_alphabet_without_padding_is_base64_too(alice: Person) -> None:
    content = b"\xfb\xef\xbe\xff"
    data = base64.urlsafe_b64encode(content).decode().rstrip("=")
    answer = alice.client.post("/api/media", {"data": data}, format="json")
    assert answer.json()["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "one_of"),
        ({"data": "aGk=", "link": "https://example.com/"}, "one_of"),
        ({"data": "a"}, "invalid_base64"),
        ({"data": "a$$$"}, "invalid_base64"),
        ({"data": "aGk=\n"}, "invalid_base64"),
        ({"data": 5}, "invalid"),
        ({"data": ""}, "blank"),
        ({"link": "file:///etc/passwd"}, "invalid_url"),
        ({"link": "ftp://example.com/x"}, "invalid_url"),
        ({"link": "http://user:password@example.com/"}, "invalid_url"),
        ({"link": "https://example.com/" + "a" * 2000}, "invalid_url"),
        ({"data": "aGk=", "filename": "a\u0000b"}, "null_characters_not_allowed"),
        ({"data": "aGk=", "path": "/etc"}, "unknown_field"),
    ],
)
def test_what_is_no_file_is_refused_with_its_field(alice: Person, body: dict[str, Any], code: str) -> None:
    answer = alice.client.post("/api/media", body, format="json")
    problem = assert_problem(answer, 400, "invalid_request")
    assert [error["code"] for error in problem["errors"]] == [code]
    assert not Media.objects.exists()


def test_an_empty_file_is_refused(alice: Person) -> None:
    assert_problem(upload(alice.client, b""), 400, "media_empty")
    assert_problem(alice.client.post("/api/media", {"data": "data:,"}, format="json"), 400, "media_empty")


def test_a_form_without_file_or_with_two_or_with_more_is_refused(alice: Person) -> None:
    client, file = alice.client, picture()
    answer = client.post("/api/media", {"filename": "x"}, format="multipart")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["pointer"] == "/file"
    two = [SimpleUploadedFile("a", file), SimpleUploadedFile("b", file)]
    answer = client.post("/api/media", {"file": two}, format="multipart")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["code"] == "too_many_files"
    answer = client.post("/api/media", {"other": SimpleUploadedFile("a", file)}, format="multipart")
    assert assert_problem(answer, 400, "invalid_request")["errors"][0]["code"] == "unknown_field"
    assert_problem(upload(client, file, path="/etc"), 400, "invalid_request")
    assert not Media.objects.exists()


def test_a_broken_form_is_refused(alice: Person) -> None:
    answer = alice.client.post("/api/media", b"nonsense", content_type="multipart/form-data")
    assert_problem(answer, 400, "malformed_form")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\evil.exe", "evil.exe"),
        ("report\u202egpj.exe", "reportgpj.exe"),
        ("a\x00b.pdf", "ab.pdf"),
        (".htaccess", "htaccess"),
        ("\u0627\u062e\u062a\u0628\u0627\u0631 \U0001f600.pdf", "\u0627\u062e\u062a\u0628\u0627\u0631 \U0001f600.pdf"),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_a_name_is_only_shown(alice: Person, name: str, kept: str) -> None:
    from media.names import safe_name

    assert safe_name(name) == kept


def test_a_file_is_what_its_content_says(alice: Person) -> None:
    for content, claimed, found in (
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "a.jpg", "image/svg+xml"),
        (b"<!doctype html><script>alert(1)</script>", "a.png", "text/html"),
        (b"\x00" * 40, "a.html", "application/octet-stream"),
        (
            b"PK\x03\x04" + b"\x00" * 40,
            "a.docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"name,phone\nAnna,1\n", "a.csv", "text/csv"),
        (b"plain words", "a.jpg", "text/plain"),
        (picture(form="PNG"), "a.jpg", "image/png"),
        (b"GIF89a<script>alert(1)</script>", "a.html", "image/gif"),
    ):
        answer = upload(alice.client, content, claimed)
        assert answer.json()["mime_type"] == found, claimed


def test_an_organization_keeps_no_more_than_its_quota(alice: Person, charlie: Person, settings: Settings) -> None:
    content = picture()
    settings.MEDIA_QUOTA_BYTES = len(content) + 10
    data = {"data": base64.b64encode(content).decode()}
    first = alice.client.post("/api/media", data, format="json")
    assert first.status_code == 201
    assert_problem(alice.client.post("/api/media", data, format="json"), 429, "media_quota_exceeded")
    assert_problem(upload(alice.client, content), 429, "media_quota_exceeded")
    assert charlie.client.post("/api/media", data, format="json").status_code == 201
    assert alice.client.delete(f"/api/media/{first.json()['id']}").status_code == 204
    assert alice.client.post("/api/media", data, format="json").status_code == 201


def test_a_file_that_is_too_large_is_refused_unread(alice: Person) -> None:
    answer = alice.client.post(
        "/api/media", b"x", content_type="multipart/form-data; boundary=x", CONTENT_LENGTH=str(1 << 30)
    )
    assert_problem(answer, 413, "body_too_large")


def test_the_same_upload_with_the_same_key_makes_one_file(alice: Person) -> None:
    def send(content: bytes) -> Any:
        file = SimpleUploadedFile("a.jpg", content)
        return alice.client.post("/api/media", {"file": file}, format="multipart", HTTP_IDEMPOTENCY_KEY="k")

    first, second = send(picture()), send(picture())
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert_problem(send(picture((10, 10))), 422, "idempotency_key_reused")
    assert Media.objects.count() == 1


@pytest.mark.parametrize("way", ["form", "data", "link"])
def test_a_request_that_was_cut_off_after_its_file_was_stored_makes_no_second_one(
    alice: Person, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    bodies = {"data": {"data": base64.b64encode(picture()).decode()}, "link": {"link": "https://example.com/a.jpg"}}

    def send() -> Any:
        if way == "form":
            body, form = {"file": SimpleUploadedFile("a.jpg", picture())}, "multipart"
            return alice.client.post("/api/media", body, format=form, HTTP_IDEMPOTENCY_KEY="k")
        return alice.client.post("/api/media", bodies[way], format="json", HTTP_IDEMPOTENCY_KEY="k")

    def cut_off(*arguments: Any, **more: Any) -> None:
        raise RuntimeError

    alice.client.raise_request_exception = False
    with monkeypatch.context() as patched:
        patched.setattr(views, "Response", cut_off)
        assert send().status_code == 500
    again = send()
    assert (again.status_code, again["Idempotent-Replayed"]) == (201, "true")
    assert again.json()["id"] == Media.objects.get().id
    assert Storage.objects.count() == 0 or Storage.objects.get().bytes == len(picture())


def test_a_viewer_may_look_and_not_upload(rita: Person) -> None:
    assert_problem(upload(rita.client, picture()), 403, "permission_denied")
    assert rita.client.get("/api/media").status_code == 200
