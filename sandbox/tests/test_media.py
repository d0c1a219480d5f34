"""The blob store by HTTPS, and how attachments are sealed."""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.attachments import PIECE, DamagedAttachment, Sealed, copy, seal, unseal
from sandbox.media import MediaStore, Misbehaviour

from .harness import unhurried

INFO, NUMBER = b"WhatsApp Image Keys", "491700000001"


def token_of(blob: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(blob).digest()).decode()


class Store:
    """A running store and a client of it."""

    def __init__(self, media: MediaStore, session: aiohttp.ClientSession) -> None:
        self.media, self.session = media, session

    async def upload(self, blob: bytes, token: str = "", auth: str | None = None) -> int:
        shown = self.media.auth_of(NUMBER) if auth is None else auth
        url = f"https://{self.media.host}/mms/image/{token or token_of(blob)}"
        async with self.session.post(url, params={"auth": shown}, data=blob) as answer:
            return answer.status

    async def download(self, token: str) -> tuple[int, bytes]:
        url, _ = self.media.location(token, NUMBER)
        async with self.session.get(url) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def store(cache: Path, tmp_path: Path) -> AsyncIterator[Store]:
    media = MediaStore(0, cache, tmp_path / "media", "secret", limit=100_000)
    await media.start()
    trusted = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(media.certificate)))
    async with aiohttp.ClientSession(connector=trusted) as session:
        yield Store(media, session)
    await media.stop()


async def test_what_is_uploaded_can_be_downloaded(store: Store) -> None:
    blob = os.urandom(50_000)
    assert await store.upload(blob) == 200
    assert await store.download(token_of(blob)) == (200, blob)


async def test_a_file_has_the_name_of_its_content(store: Store) -> None:
    assert await store.upload(b"blob", token=token_of(b"other")) == 400
    assert await store.download(token_of(b"other")) == (404, b"")
    assert list(store.media.folder.iterdir()) == []


@pytest.mark.parametrize("auth", ["", "secret", f"{NUMBER}-", f"{NUMBER}-{'0' * 32}"])
async def test_without_a_token_nobody_uploads_or_deletes(store: Store, auth: str) -> None:
    assert await store.upload(b"blob", auth=auth) == 401
    assert await store.upload(b"blob") == 200
    url = f"https://{store.media.host}/mms/image/{token_of(b'blob')}"
    async with store.session.delete(url, params={"auth": auth}) as answer:
        assert answer.status == 401
    assert (await store.download(token_of(b"blob")))[0] == 200


async def test_what_is_gone_says_so_until_it_comes_again(store: Store) -> None:
    await store.upload(b"blob")
    store.media.forget(f"/v/{token_of(b'blob')}?ccb=1", 410)
    assert await store.download(token_of(b"blob")) == (410, b"")
    await store.upload(b"blob")
    store.media.forget(f"/v/{token_of(b'blob')}?ccb=1", 404)
    assert await store.download(token_of(b"blob")) == (404, b"")


async def test_the_oldest_files_go_when_there_are_too_many(store: Store, cache: Path) -> None:
    blobs = [os.urandom(30_000) for _ in range(5)]
    for index, blob in enumerate(blobs):
        await store.upload(blob)
        os.utime(store.media.path(token_of(blob)), (index, index))
    found = [(await store.download(token_of(blob)))[0] for blob in blobs]
    assert found == [404, 404, 200, 200, 200]
    again = MediaStore(0, cache, store.media.folder, "secret", limit=100_000)
    again.put("x", bytes(30_000))
    assert not again.path(token_of(blobs[2])).exists(), "what was there before counts"


async def test_an_upload_that_breaks_off_leaves_nothing(store: Store, cache: Path) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield bytes(PIECE)
        raise ConnectionResetError

    url = f"https://{store.media.host}/mms/image/x"
    with pytest.raises((aiohttp.ClientError, ConnectionResetError)):
        await store.session.post(url, params={"auth": store.media.auth_of(NUMBER)}, data=half())
    (store.media.folder / "rest.incoming").touch()
    MediaStore(0, cache, store.media.folder, "secret")
    assert list(store.media.folder.glob("*rest*")) == []


async def test_faults_concern_who_uploads_and_who_has_uploaded(store: Store) -> None:
    asked = []

    def misbehaviour(number: str, what: str) -> Misbehaviour:
        asked.append((number, what))
        return Misbehaviour(status=503)

    store.media.misbehaviour = misbehaviour
    assert await store.upload(b"blob") == 503
    assert (await store.download(token_of(b"blob")))[0] == 503
    assert asked == [(NUMBER, "upload"), (NUMBER, "download")]


# --- attachments ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs") / "blob"


def sealed(blob: Path, pieces: list[bytes]) -> Sealed:
    with open(blob, "wb") as file:
        return seal(pieces, INFO, file.write)


@unhurried
@given(pieces=st.lists(st.binary(max_size=100), max_size=20))
def test_a_file_in_pieces_of_any_size_comes_back(blob: Path, pieces: list[bytes]) -> None:
    found, out = sealed(blob, pieces), bytearray()
    unseal(blob, found, INFO, out.extend)
    assert bytes(out) == b"".join(pieces)
    assert (found.size, found.sha256) == (len(out), hashlib.sha256(out).digest())
    assert found.enc_sha256 == hashlib.sha256(blob.read_bytes()).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"media_key": bytes(32)},
        {"sha256": bytes(32)},
        {"enc_sha256": bytes(32)},
        {"size": 7},
        {"media_key": b""},
    ],
)
def test_what_does_not_match_is_damaged(blob: Path, change: dict[str, bytes]) -> None:
    found = replace(sealed(blob, [b"some text"]), **change)  # type: ignore[arg-type]
    with pytest.raises(DamagedAttachment):
        unseal(blob, found, INFO, lambda piece: None)


@pytest.mark.parametrize("size", [0, 9, 10, 11, 26])
def test_what_is_no_ciphertext_is_damaged(blob: Path, size: int) -> None:
    found = sealed(blob, [b"some text"])
    blob.write_bytes(bytes(size))
    with pytest.raises(DamagedAttachment):
        unseal(blob, found, INFO, lambda piece: None)


def test_what_is_not_encrypted_is_checked_as_well(blob: Path) -> None:
    with open(blob, "wb") as file:
        found = copy([b"plain", b" text"], file.write)
    unseal(blob, found, INFO, lambda piece: None)
    blob.write_bytes(b"other text")
    with pytest.raises(DamagedAttachment):
        unseal(blob, found, INFO, lambda piece: None)
