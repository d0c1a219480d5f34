from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.client import LoadError, load, parse_answer, request_bytes

LENGTH = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


@pytest.mark.parametrize(("answer", "status"), [(LENGTH, 202), (CHUNKS, 200)])
def test_an_answer_is_complete_with_its_last_byte_and_not_before(answer: bytes, status: int) -> None:
    assert all(parse_answer(answer[:end]) is None for end in range(len(answer)))
    assert parse_answer(answer) == (status, b"hello")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_an_answer_after_which_the_connection_is_of_no_use_is_refused(answer: bytes) -> None:
    with pytest.raises(LoadError):
        parse_answer(answer)


class Server(ThreadingHTTPServer):
    """Answers each request with the status its path names; counts connections and requests."""

    daemon_threads = False  # so that closing the server waits for the connections

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.connections, self.paths = list[object](), list[str]()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.client_address)

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if self.path == "/hang-up":
            self.close_connection = True
            return
        self.send_response(int(self.path[1:4]))
        self.send_header("Content-Length", str(len(self.path)))
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _requests(server: Server, *paths: str) -> list[bytes]:
    return [request_bytes(server.address, "GET", path) for path in paths]


def test_every_request_is_sent_once_over_as_many_connections_as_asked_for(server: Server) -> None:
    paths = [f"/202/{number}" for number in range(50)]
    done = load(server.address, _requests(server, *paths), connections=4, status=202)
    assert sorted(server.paths) == sorted(paths)
    assert sorted(body.decode() for body in done.bodies) == sorted(paths)
    assert len(server.connections) == 4
    assert len(done.latencies) == 50
    assert done.first_answer <= done.last_answer
    assert done.per_second == pytest.approx(50 / done.seconds)


def test_an_answer_with_another_status_ends_the_measurement(server: Server) -> None:
    with pytest.raises(LoadError, match="expected 202, got 429"):
        load(server.address, _requests(server, "/202", "/429", "/202"), connections=1, status=202)


def test_a_connection_that_breaks_ends_the_measurement(server: Server) -> None:
    with pytest.raises(LoadError, match="closed the connection"):
        load(server.address, _requests(server, "/202", "/hang-up"), connections=1, status=202)
