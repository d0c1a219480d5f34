from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config import egress
from config.egress import BrokenReply, Client, InvalidUrl, Reply, TimedOut, TlsFailed, Unreachable, is_refused

LOOPBACK = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")]
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.1", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
        "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1",
        "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "::ffff:100.64.0.1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1",
        "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::1", "2002:808:808::1", "3fff::1", "5f00::1",
        "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert is_refused(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "100.63.255.255", "100.128.0.1", "168.63.129.15", "172.32.0.1",
                "223.255.255.1", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:1.1.1.1"],
)  # fmt: skip
def test_a_public_address_is_not_refused(address: str) -> None:
    assert not is_refused(ipaddress.ip_address(address))


def test_allowed_networks_are_exactly_the_exceptions() -> None:
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "::1"):
        assert not is_refused(ipaddress.ip_address(address), LOOPBACK)
    for address in ("10.0.0.1", "169.254.169.254", "::2", "::7f00:1"):
        assert is_refused(ipaddress.ip_address(address), LOOPBACK)


@pytest.mark.parametrize(
    "text",
    ["", "example.org", "ftp://example.org", "http://", "http://u@example.org", "http://example.org:0",
     "http://example.org:65536", "http://example.org/" + 2000 * "a"],
)  # fmt: skip
def test_an_unusable_url_is_refused_before_anything_is_dialled(text: str) -> None:
    with pytest.raises(InvalidUrl):
        egress.checked_url(text)


async def ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request of a connection with 200 and what it got."""
    while head := await _head(reader):
        length = int(dict(line.split(": ", 1) for line in head.lower().splitlines()[1:] if line)["content-length"])
        body = await reader.readexactly(length)
        reply = head.encode() + body
        writer.write(b"HTTP/1.1 200 OK\r\nX-Test: yes\r\nContent-Length: %d\r\n\r\n" % len(reply) + reply)


async def _head(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return ""


class Server:
    def __init__(self) -> None:
        self.port = 0
        self.connections = 0


@asynccontextmanager
async def server(answer: Answer = ok, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    state, tasks = Server(), set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        state.connections += 1
        tasks.add(asyncio.current_task())
        try:
            await answer(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    running = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    state.port = running.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        running.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Names:
    """A resolver: each look-up of a name takes the next of its answers, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(rows) for name, rows in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        rows = self.answers.get(host)
        if rows is None:
            raise OSError("no such name")
        return rows.pop(0) if len(rows) > 1 else rows[0]


async def post(url: str, *, body: bytes = b"hello", **options: Any) -> Reply:
    client = Client(**({"allowed": LOOPBACK} | options))
    try:
        return await client.post(url, headers={"Content-Type": "text/plain"}, content=body)
    finally:
        await client.aclose()


async def test_the_request_arrives_with_host_headers_and_body() -> None:
    names = Names(receiver_test=[["127.0.0.1"]])
    async with server() as receiver:
        reply = await post(f"http://receiver.test:{receiver.port}/a%20b?c=d", resolve=names)
    assert reply.status == 200
    assert reply.headers["x-test"] == "yes"
    head, _, body = reply.body.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /a%20b?c=d HTTP/1.1"
    assert b"Host: receiver.test:%d" % receiver.port in head
    assert b"Content-Type: text/plain" in head
    assert body == b"hello"


async def test_the_checked_address_is_dialled_and_the_name_is_not_looked_up_again() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    names = Names(rebinding_test=[["127.0.0.1"], ["10.0.0.1"]])
    async with server(once) as receiver:
        client = Client(allowed=LOOPBACK, resolve=names)
        url = f"http://rebinding.test:{receiver.port}/"
        assert (await client.post(url, headers={}, content=b"")).status == 200
        assert names.asked == ["rebinding.test"]
        with pytest.raises(Unreachable):
            await client.post(url, headers={}, content=b"")
        assert receiver.connections == 1
        await client.aclose()


@pytest.mark.parametrize("answers", [["10.0.0.1"], ["127.0.0.1", "10.0.0.1"], ["::ffff:10.0.0.1"], ["fe80::1%lo"], []])
async def test_one_refused_answer_among_them_refuses_the_name(answers: list[str]) -> None:
    async with server() as receiver:
        with pytest.raises(Unreachable):
            await post(f"http://name.test:{receiver.port}/", resolve=Names(name_test=[answers]))
        assert receiver.connections == 0


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with server() as receiver:
        names = Names(name_test=[["127.0.0.2", "127.0.0.1"], ["::1", "127.0.0.1"]])
        for _ in range(2):
            assert (await post(f"http://name.test:{receiver.port}/", resolve=names)).status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]", "localhost"])
async def test_our_own_machine_is_refused_however_it_is_written(host: str) -> None:
    async with server() as receiver:
        with pytest.raises(Unreachable):
            await post(f"http://{host}:{receiver.port}/", allowed=[])
        assert receiver.connections == 0


async def test_refused_unreachable_and_unknown_look_the_same() -> None:
    async with server() as receiver:
        free_port = receiver.port
    texts = set()
    for url, options in [
        (f"http://127.0.0.1:{free_port}/", {}),
        (f"http://10.0.0.1:{free_port}/", {}),
        ("http://nowhere.test/", {"resolve": Names()}),
    ]:
        with pytest.raises(Unreachable) as caught:
            await post(url, **options)
        texts.add(str(caught.value))
    assert texts == {"The receiver could not be reached."}


async def test_a_redirect_is_a_reply_and_not_followed() -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")

    async with server(redirect) as receiver:
        assert (await post(f"http://127.0.0.1:{receiver.port}/")).status == 307
        assert receiver.connections == 1


async def test_a_proxy_of_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with server() as receiver:
        assert (await post(f"http://127.0.0.1:{receiver.port}/")).status == 200


async def test_connections_are_used_again() -> None:
    async with server() as receiver:
        client = Client(allowed=LOOPBACK)
        for _ in range(5):
            await client.post(f"http://127.0.0.1:{receiver.port}/", headers={}, content=b"x")
        assert receiver.connections == 1
        await client.aclose()


async def test_an_endless_reply_is_cut_after_64_kilobytes() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(1000 * b"a")
            await writer.drain()

    async with server(endless) as receiver:
        assert (await post(f"http://127.0.0.1:{receiver.port}/")).body == 64 * 1024 * b"a"


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_a_reply_that_trickles_has_a_hard_end(start: bytes) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.02)

    async with server(trickle) as receiver:
        started = asyncio.get_running_loop().time()
        with pytest.raises(TimedOut):
            await post(f"http://127.0.0.1:{receiver.port}/", total_seconds=0.4)
        assert asyncio.get_running_loop().time() - started < 5


@pytest.mark.parametrize(
    "reply", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"]
)
async def test_a_reply_that_is_no_http_is_broken(reply: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _head(reader)
        await reader.readexactly(5)
        writer.write(reply)

    async with server(answer) as receiver:
        with pytest.raises(BrokenReply):
            await post(f"http://127.0.0.1:{receiver.port}/")


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._certificate = self._sign("Test CA", self._key, None)

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, host: str | None) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def server_context(self, host: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = serialization.Encoding.PEM
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self._folder / f"{host}.pem"
        path.write_bytes(secret + self._sign(host, key, host).public_bytes(pem))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def client_context(self) -> ssl.SSLContext:
        certificate = self._certificate.public_bytes(serialization.Encoding.PEM).decode()
        return ssl.create_default_context(cadata=certificate)


async def test_tls_is_checked_against_the_name_and_not_the_dialled_address(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = {
        "tls": authority.client_context(),
        "resolve": Names(receiver_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]]),
    }
    async with server(tls=authority.server_context("receiver.test")) as receiver:
        assert (await post(f"https://receiver.test:{receiver.port}/", **options)).status == 200
        with pytest.raises(TlsFailed):
            await post(f"https://other.test:{receiver.port}/", **options)


async def test_a_certificate_of_an_unknown_authority_is_not_accepted(tmp_path: Path) -> None:
    context = Authority(tmp_path).server_context("receiver.test")
    async with server(tls=context) as receiver:
        with pytest.raises(TlsFailed):
            await post(f"https://receiver.test:{receiver.port}/", resolve=Names(receiver_test=[["127.0.0.1"]]))
