from __future__ import annotations

import asyncio
from typing import Any

import pytest

from config.egress import BrokenReply, Client, EgressError, Fetched, InvalidUrl, TimedOut, TooLarge, Unreachable
from config.tests.test_egress import LOOPBACK, Answer, Names, _head, server


async def get(url: str, *, most_bytes: int = 100, **options: Any) -> tuple[Fetched, bytes]:
    asked = {name: options.pop(name) for name in ("headers", "may_follow") if name in options}
    client, pieces = Client(**({"allowed": LOOPBACK} | options)), list[bytes]()
    try:
        return await client.get(url, write=pieces.append, most_bytes=most_bytes, **asked), b"".join(pieces)
    finally:
        await client.aclose()


def answering(*replies: bytes) -> Answer:
    """Answers each connection with the next reply, the last one for ever, and hangs up."""
    left = list(replies)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return answer


def body(content: bytes, head: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\nConnection: close\r\n\r\n" % (head, len(content)) + content


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Go\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


async def test_the_body_is_handed_over_as_it_was_sent() -> None:
    async with server(answering(body(b"hello", b"Content-Type: text/plain\r\n"))) as host:
        fetched, content = await get(f"http://127.0.0.1:{host.port}/a?b=c")
    assert (content, fetched.size, fetched.status) == (b"hello", 5, 200)
    assert fetched.headers["content-type"] == "text/plain"


async def test_another_status_is_told_and_nothing_is_handed_over() -> None:
    async with server(answering(b"HTTP/1.1 404 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnot")) as host:
        fetched, content = await get(f"http://127.0.0.1:{host.port}/")
    assert (fetched.status, content) == (404, b"")


async def test_a_redirect_is_followed_and_its_name_looked_up() -> None:
    names = Names(first_example=[["127.0.0.1"]], second_example=[["127.0.0.1"]])
    async with (
        server(answering(body(b"there"))) as second,
        server(answering(redirect(f"http://second.example:{second.port}/x"))) as first,
    ):
        fetched, content = await get(f"http://first.example:{first.port}/", resolve=names)
    assert names.asked == ["first.example", "second.example"]
    assert (fetched.url, content) == (f"http://second.example:{second.port}/x", b"there")


async def test_a_name_that_turns_private_between_two_requests_is_refused() -> None:
    names = Names(turning_example=[["127.0.0.1"], ["10.0.0.1"]])
    async with server(answering(redirect("/again"), body(b"inside"))) as host:
        with pytest.raises(Unreachable):
            await get(f"http://turning.example:{host.port}/", resolve=names)
        assert host.connections == 1


async def test_a_redirect_to_a_private_address_looks_like_one_that_nobody_answers() -> None:
    texts = set()
    for location in (
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://0x0a000001/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1:1/",
    ):
        async with server(answering(redirect(location))) as host:
            with pytest.raises(Unreachable) as caught:
                await get(f"http://127.0.0.1:{host.port}/")
        texts.add(str(caught.value))
    assert len(texts) == 1


async def test_a_redirect_that_is_not_wanted_looks_like_one_that_nobody_answers() -> None:
    async with server(answering(redirect("/again"), body(b"there"))) as host:
        with pytest.raises(Unreachable):
            await get(f"http://127.0.0.1:{host.port}/", may_follow=lambda target: target.path != "/again")
        assert host.connections == 1


async def test_headers_of_the_caller_go_before_our_own() -> None:
    heads = list[str]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await _head(reader))
        writer.write(body(b"hello"))

    async with server(answer) as host:
        await get(f"http://127.0.0.1:{host.port}/", headers={"Origin": "https://example.com", "User-Agent": "Me"})
    assert "Origin: https://example.com\r\n" in heads[0]
    assert "User-Agent: Me\r\n" in heads[0]
    assert heads[0].count("User-Agent") == 1


async def test_only_so_many_redirects_are_followed() -> None:
    async with server(answering(redirect("/again"))) as host:
        fetched, content = await get(f"http://127.0.0.1:{host.port}/")
        assert host.connections == 4
    assert (fetched.status, content) == (302, b"")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/", "data:text/plain,x", "//example.org"])
async def test_other_schemes_are_refused_before_anything_is_dialled(url: str) -> None:
    with pytest.raises(InvalidUrl):
        await get(url)


@pytest.mark.parametrize(
    "reply",
    [
        body(101 * b"a"),
        b"HTTP/1.1 200 OK\r\n\r\n" + 101 * b"a",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + 101 * b"a" + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n",
    ],
)
async def test_a_body_beyond_the_limit_is_refused(reply: bytes) -> None:
    async with server(answering(reply)) as host:
        with pytest.raises(TooLarge):
            await get(f"http://127.0.0.1:{host.port}/")


async def test_a_body_of_the_limit_is_taken() -> None:
    async with server(answering(body(100 * b"a"))) as host:
        assert (await get(f"http://127.0.0.1:{host.port}/"))[0].size == 100


async def test_a_compressed_body_is_refused_and_never_unpacked() -> None:
    async with server(answering(body(b"\x1f\x8b", b"Content-Encoding: gzip\r\n"))) as host:
        with pytest.raises(BrokenReply):
            await get(f"http://127.0.0.1:{host.port}/")


async def test_a_body_that_drips_is_given_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.01)

    async with server(drip) as host:
        with pytest.raises(TimedOut):
            await get(f"http://127.0.0.1:{host.port}/", most_bytes=10**6, drip_grace_seconds=0.1, total_seconds=30)


async def test_a_body_cut_short_is_broken() -> None:
    async with server(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")) as host:
        with pytest.raises(EgressError):
            await get(f"http://127.0.0.1:{host.port}/")


async def test_a_full_disk_is_not_blamed_on_the_network() -> None:
    def full(piece: bytes) -> None:
        raise OSError("no space left")

    async with server(answering(body(b"hello"))) as host:
        client = Client(allowed=LOOPBACK)
        with pytest.raises(RuntimeError):
            await client.get(f"http://127.0.0.1:{host.port}/", write=full, most_bytes=100)
        await client.aclose()
