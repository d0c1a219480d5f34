"""Every range that is refused, in every way in which an address can be given; and receivers that mean harm."""

from __future__ import annotations

import asyncio
import ipaddress
import re
import ssl
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import metrics
from config.egress import BrokenReply, Client, EgressError, TimedOut, TlsFailed, Unreachable
from config.tests.test_egress import LOOPBACK, Authority, Names, _head, server
from config.tests.test_egress_get import answering, redirect

REFUSED = [
    "0.0.0.1", "0.255.255.255", "10.0.0.1", "100.64.0.1", "127.0.0.2", "168.63.129.16", "169.254.169.254",
    "172.16.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.2",
    "::ffff:127.0.0.2", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "100::1",
    "2001::a00:1", "2001:db8::1", "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fec0::1", "ff02::1",
]  # fmt: skip
ONE = [ipaddress.ip_network("127.0.0.1/32")]  # where the test's own servers are


def written(address: str, port: int) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


async def refusal(method: str, url: str, **options: Any) -> tuple[str, float]:
    """The words in which a URL is refused, and how many look-ups or dials were denied for it."""
    client = Client(**({"allowed": ONE} | options))
    before = metrics.EGRESS_DENIED.value()
    try:
        asked: Any = client.post(url, headers={}, content=b"")
        if method == "GET":
            asked.close()
            asked = client.get(url, write=lambda piece: None, most_bytes=10)
        with pytest.raises(Unreachable) as caught:
            await asked
        return str(caught.value), metrics.EGRESS_DENIED.value() - before
    finally:
        await client.aclose()


@pytest.mark.parametrize("address", REFUSED)
async def test_a_refused_address_is_denied_in_each_disguise_and_in_the_same_words(address: str) -> None:
    words = set()
    async with server(answering(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")) as public:
        to_it, to_its_name = written(address, public.port), f"http://inside.test:{public.port}/"
        names = {"inside.test": [[address]], "public.test": [["127.0.0.1"]]}
        names["both.test"] = [["127.0.0.1", address]]
        names["turning.test"] = [["127.0.0.1"], [address]]

        def resolver() -> Names:
            return Names(**{name.replace(".", "_"): list(rows) for name, rows in names.items()})

        for method, url in (("POST", to_it), ("GET", to_it), ("POST", to_its_name), ("GET", to_its_name)):
            said, denied = await refusal(method, url, resolve=resolver())
            assert denied == 1, (method, url)
            words.add(said)
        said, denied = await refusal("POST", f"http://both.test:{public.port}/", resolve=resolver())
        assert denied == 1
        words.add(said)
        assert public.connections == 0
    for location in (to_it, to_its_name):
        async with server(answering(redirect(location))) as first:
            said, denied = await refusal("GET", f"http://public.test:{first.port}/", resolve=resolver())
            assert (denied, first.connections) == (1, 1)
            words.add(said)
    async with server(answering(redirect("/again"))) as turning:
        said, denied = await refusal("GET", f"http://turning.test:{turning.port}/", resolve=resolver())
        assert (denied, turning.connections) == (1, 1)
        words.add(said)
    nobody_there = await refusal("POST", f"http://127.0.0.1:{turning.port}/")
    assert nobody_there[1] == 0
    assert words == {nobody_there[0]}


async def test_of_a_kept_connection_no_name_is_asked_and_a_new_one_is_checked_anew() -> None:
    names = Names(turning_test=[["127.0.0.1"], ["10.0.0.1"]])
    async with server() as receiver:
        client = Client(allowed=ONE, resolve=names)
        for _ in range(3):
            await client.post(f"http://turning.test:{receiver.port}/", headers={}, content=b"x")
        assert (names.asked, receiver.connections) == (["turning.test"], 1)
        await client.aclose()


# --- receivers that mean harm ---------------------------------------------------------------


async def attempt(answer: Any, scheme: str = "http", tls: ssl.SSLContext | None = None, **options: Any) -> Any:
    async with server(answer, tls) as receiver:
        client = Client(allowed=LOOPBACK, **({"total_seconds": 0.5} | options))
        try:
            return await client.post(f"{scheme}://127.0.0.1:{receiver.port}/", headers={}, content=b"hello")
        finally:
            await client.aclose()


def sending(*pieces: bytes, again: bytes = b"", every: float = 0.0) -> Any:
    """Reads the request, sends the pieces, and then ``again`` for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        for piece in pieces:
            writer.write(piece)
        while again:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(every)

    return answer


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 100, b"\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 99999999 OK\r\n\r\n",
     b"HTTP/1.1 -1 OK\r\n\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
     b"HTTP/1.1 200 OK\r\n: empty\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"\x16\x03\x01\x02\x00\x01\x00",
     b"<html>hello</html>"],
)  # fmt: skip
async def test_garbage_for_an_answer_is_told_as_such(garbage: bytes) -> None:
    with pytest.raises(BrokenReply):
        await attempt(sending(garbage))


@pytest.mark.parametrize(
    "answer",
    [
        sending(b"HTTP/1.1 200 OK\r\n", again=b"X-Header: " + 100 * b"a" + b"\r\n"),
        sending(b"HTTP/1.1 200 OK\r\nX-Header: ", again=100 * b"a"),
        sending(b"HTTP/1.1 200 ", again=100 * b"a"),
        sending(again=b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["headers", "a header", "a reason", "interim answers"],
)
async def test_what_has_no_end_in_its_head_is_ended_by_us(answer: Any) -> None:
    with pytest.raises((BrokenReply, TimedOut)):
        await attempt(answer)


@pytest.mark.parametrize(
    "answer",
    [
        sending(again=b"\r\n", every=0.02),
        sending(b"HTTP/1.1 2", again=b"0", every=0.02),
        sending(b"HTTP/1.1 200 OK\r\nX: ", again=b"a", every=0.02),
        sending(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", again=b"a", every=0.02),
        sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", again=b"1\r\na\r\n", every=0.02),
    ],
    ids=["empty lines", "the status", "a header", "the body", "chunks"],
)
async def test_a_slow_loris_starves(answer: Any) -> None:
    started = asyncio.get_running_loop().time()
    with pytest.raises((TimedOut, BrokenReply)):
        await attempt(answer)
    assert asyncio.get_running_loop().time() - started < 5


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang_up_within_the_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(20)
    writer.transport.abort()


@pytest.mark.parametrize("answer", [hang_up, hang_up_within_the_request, sending(), sending(b"HTTP/1.1 200 OK\r\nX")])
async def test_who_hangs_up_early_broke_the_connection(answer: Any) -> None:
    with pytest.raises(BrokenReply):
        await attempt(answer)


async def test_tls_that_is_none_or_is_wrong_is_told_as_such(tmp_path: Any) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")

    with pytest.raises(TlsFailed):
        await attempt(plain, "https")
    with pytest.raises(TlsFailed):
        await attempt(sending(), "https", Authority(tmp_path).server_context("receiver.test"))

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    with pytest.raises((TimedOut, Unreachable)):
        await attempt(silent, "https")


@settings(max_examples=40)
@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"\r\n", b"A: b\r\n"])), max_size=6
    )
)
def test_whatever_a_receiver_says_is_a_reply_or_an_error_in_words(pieces: list[bytes]) -> None:
    async def once() -> str:
        try:
            return str((await attempt(sending(*pieces), total_seconds=0.2)).status)
        except EgressError as error:
            return str(error)

    assert re.fullmatch(r"[1-9]\d\d|The receiver .*\.", asyncio.run(once()))
