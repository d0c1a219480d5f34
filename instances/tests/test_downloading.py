"""Received files, from media servers of every character."""

from __future__ import annotations

import base64
import hashlib
import os
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from pytest_django import Settings

from config import egress
from instances.tests import media_server
from instances.tests.media_server import MediaServer, gives, of_channel, says, sealed, streams, with_mac
from instances.whatsapp import downloading
from instances.whatsapp.downloading import Gone, TooMuch, Unavailable, Unreadable, download
from instances.whatsapp.files import RemoteFile

MOST = 1024 * 1024
CONTENT = os.urandom(200_001)


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MediaServer]:
    with media_server.media_server(settings, monkeypatch, tmp_path) as found:
        yield found


def fetched(remote: RemoteFile, most: int = MOST) -> bytes:
    pieces = list[bytes]()
    size = download(remote, pieces.append, most)
    content = b"".join(pieces)
    assert size == len(content)
    return content


@pytest.mark.parametrize("kind", ["image", "sticker", "video", "audio", "voice", "document"])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 200_001])
def test_a_file_comes_as_it_was(server: MediaServer, kind: str, size: int) -> None:
    remote, blob = sealed(CONTENT[:size], kind)
    server.answers = [gives(blob)]
    assert fetched(remote) == CONTENT[:size]


def test_it_is_asked_for_as_whatsapp_wants_it(server: MediaServer) -> None:
    remote, blob = sealed(CONTENT, "sticker")
    server.answers = [gives(blob)]
    fetched(remote)
    digest = base64.urlsafe_b64encode(remote.file_enc_sha256).decode()
    asked, *headers = server.heads[0].splitlines()
    assert asked == f"GET /v/t62.7118-24/1?ccb=11-4&oh=1&hash={digest}&mms-type=image&__wa-mms= HTTP/1.1"
    assert f"Host: {server.host}" in headers
    assert "Origin: https://web.whatsapp.com" in headers


def test_a_file_of_a_channel_is_not_encrypted(server: MediaServer) -> None:
    server.answers = [gives(CONTENT)]
    assert fetched(of_channel(CONTENT)) == CONTENT
    with pytest.raises(Unreadable):
        fetched(of_channel(CONTENT, file_sha256=b"x" * 32))


def test_pieces_of_any_size_make_the_same_file(server: MediaServer) -> None:
    remote, blob = sealed(CONTENT)
    server.answers = [streams(lambda: (blob[at : at + 77] for at in range(0, len(blob), 77)))]
    assert fetched(remote) == CONTENT


WRONG = {
    "another file": lambda remote, blob: (remote, os.urandom(len(blob))),
    "a short one": lambda remote, blob: (remote, blob[:-1]),
    "none": lambda remote, blob: (remote, b""),
    "less than a MAC": lambda remote, blob: (remote, b"123"),
    "another plaintext": lambda remote, blob: (replace(remote, file_sha256=b"x" * 32), blob),
    "another key": lambda remote, blob: (replace(remote, media_key=b"x" * 32), blob),
    "a key for another kind": lambda remote, blob: (replace(remote, kind="video"), blob),
    "no hash of the encrypted file": lambda remote, blob: (replace(remote, file_enc_sha256=b""), blob),
    "no hash of the file": lambda remote, blob: (replace(remote, file_sha256=b""), blob),
    "half a key": lambda remote, blob: (replace(remote, media_key=b"x" * 16), blob),
    "no place": lambda remote, blob: (replace(remote, direct_path=""), blob),
    "a place elsewhere": lambda remote, blob: (replace(remote, direct_path="@127.0.0.1:1/v/1"), blob),
    "a place too long": lambda remote, blob: (replace(remote, direct_path="/" + "a" * 2000), blob),
}


@pytest.mark.parametrize("lie", WRONG)
def test_what_is_not_as_the_message_says_is_unreadable(server: MediaServer, lie: str) -> None:
    remote, blob = WRONG[lie](*sealed(CONTENT))  # type: ignore[no-untyped-call]
    server.answers = [gives(blob)]
    with pytest.raises(Unreadable):
        fetched(remote)


@pytest.mark.parametrize("at", [-1, -11])
def test_a_wrong_mac_is_found_though_the_hash_of_the_whole_fits(server: MediaServer, at: int) -> None:
    remote, blob = sealed(CONTENT)
    wrong = bytearray(blob)
    wrong[at] ^= 1
    server.answers = [gives(bytes(wrong))]
    with pytest.raises(Unreadable, match="MAC"):
        fetched(replace(remote, file_enc_sha256=hashlib.sha256(wrong).digest()))


@pytest.mark.parametrize("ciphertext", [b"", b"half", bytes(32)])
def test_what_only_its_sender_can_have_made_so_is_unreadable_too(server: MediaServer, ciphertext: bytes) -> None:
    """The MAC is right; the ciphertext has no whole blocks, or does not end with padding."""
    remote, _ = sealed(CONTENT)
    blob = with_mac(ciphertext, remote.media_key)
    server.answers = [gives(blob)]
    with pytest.raises(Unreadable):
        fetched(replace(remote, file_enc_sha256=hashlib.sha256(blob).digest()))


def test_more_than_was_to_be_taken_is_not_taken(server: MediaServer) -> None:
    remote, blob = sealed(CONTENT)
    for most, answer in ((len(CONTENT) - 16, gives(blob)), (MOST, gives(b"", claimed=2**40))):
        server.answers = [answer]
        with pytest.raises(TooMuch):
            fetched(remote, most)
    server.answers = [gives(blob)]
    assert fetched(remote, len(CONTENT)) == CONTENT


def endless() -> Iterator[bytes]:
    while True:
        yield bytes(65536)


def test_an_endless_file_is_given_up_and_never_in_memory(server: MediaServer) -> None:
    remote, most, sizes = sealed(CONTENT)[0], 20 * MOST, list[int]()
    first, blob = sealed(b"x")
    server.answers = [gives(blob), streams(endless)]
    fetched(first)  # what is loaded once does not count
    tracemalloc.start()
    try:
        with pytest.raises(TooMuch):
            download(remote, lambda piece: sizes.append(len(piece)), most)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most - MOST < sum(sizes) <= most
    assert max(sizes) <= MOST
    assert peak < 2 * MOST


def drip() -> Iterator[bytes]:
    while True:
        yield b"a"
        time.sleep(0.01)


def silence() -> Iterator[bytes]:
    yield b"a"
    time.sleep(3)


def test_a_server_that_drips_is_given_up(server: MediaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "Client", partial(egress.Client, drip_grace_seconds=0.2))
    server.answers = [streams(drip)]
    with pytest.raises(Unavailable, match="in time"):
        fetched(sealed(CONTENT)[0])


@pytest.mark.parametrize("pieces", [drip, silence])
def test_a_file_has_a_hard_end(server: MediaServer, monkeypatch: pytest.MonkeyPatch, pieces: object) -> None:
    monkeypatch.setattr(downloading, "SECONDS", 0.4)
    server.answers = [streams(pieces)]  # type: ignore[arg-type]
    began = time.monotonic()
    with pytest.raises(Unavailable, match="in time"):
        fetched(sealed(CONTENT)[0])
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_whatsapp_does_not_keep_is_gone(server: MediaServer, status: int) -> None:
    server.answers = [says(status)]
    with pytest.raises(Gone):
        fetched(sealed(CONTENT)[0])


@pytest.mark.parametrize("status", [204, 206, 304, 401, 429, 500, 503])
def test_another_status_may_be_another_one_later(server: MediaServer, status: int) -> None:
    remote, blob = sealed(CONTENT)
    server.answers = [says(status), gives(blob)]
    with pytest.raises(Unavailable):
        fetched(remote)
    assert fetched(remote) == CONTENT


def test_a_broken_connection_may_hold_later(server: MediaServer) -> None:
    remote, blob = sealed(CONTENT)
    silent = [lambda send: None, lambda send: None]  # asked once more at once
    server.answers = [gives(blob[:1000], claimed=len(blob)), *silent, gives(blob)]
    for _ in range(2):
        with pytest.raises(Unavailable):
            fetched(remote)
    assert fetched(remote) == CONTENT


@pytest.mark.parametrize(
    "location",
    ["https://10.0.0.1/v/1", "https://169.254.169.254/", "https://example.com/v/1", "http://mmg.whatsapp.net/v/1",
     "https://mmg.whatsapp.net.example.com/", "https://127.0.0.1:1/", "file:///etc/passwd"],
)  # fmt: skip
def test_a_redirect_leads_nowhere_but_to_whatsapp(
    server: MediaServer, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    server.answers = [says(302, f"Location: {location}")]
    with pytest.raises(Unavailable):
        fetched(sealed(CONTENT)[0])
    assert len(server.heads) == 1


def test_a_redirect_of_the_same_host_is_followed(server: MediaServer) -> None:
    remote, blob = sealed(CONTENT)
    server.answers = [says(302, "Location: /there"), gives(blob)]
    assert fetched(remote) == CONTENT
    assert server.heads[1].startswith("GET /there ")


@pytest.mark.parametrize(
    "path", ["//example.com/v", "/\\example.com", "/@example.com/?x", "/v/1", "/v/1?a#b", "/é\x00"]
)
def test_the_senders_path_never_chooses_the_host(server: MediaServer, path: str) -> None:
    with pytest.raises((Gone, Unreadable)):
        fetched(replace(sealed(CONTENT)[0], direct_path=path))
    assert all(f"Host: {server.host}\r\n" in head for head in server.heads)


def test_a_private_host_is_fetched_from_only_if_it_is_set(server: MediaServer, settings: Settings) -> None:
    settings.WHATSAPP_MEDIA_HOST = "localhost:" + server.host.partition(":")[2]
    with pytest.raises(Unavailable):
        fetched(sealed(CONTENT)[0])
    assert server.heads == []


def test_certificates_are_checked(server: MediaServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    downloading.trusted.cache_clear()
    with pytest.raises(Unavailable, match="TLS"):
        fetched(sealed(CONTENT)[0])


def test_a_taker_that_stops_ends_the_download(server: MediaServer) -> None:
    class Enough(Exception):
        pass

    def stop(piece: bytes) -> None:
        raise Enough

    server.answers = [streams(endless)]
    with pytest.raises(Enough):
        download(sealed(CONTENT)[0], stop, 2**40)
