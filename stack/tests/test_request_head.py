from __future__ import annotations

import pytest

from stack.request_head import MAX_HEAD, RefusedError, find_end, read_head

CLIENT = b"203.0.113.7"
HOST = b"Host: example.com\r\n"
UPGRADE = b"GET /ws/events HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


def lines_of(head: bytes) -> list[bytes]:
    return read_head(head, CLIENT).rewritten.split(b"\r\n")


def test_the_clients_address_is_added_and_the_rest_stays():
    lines = lines_of(b"GET /a?b=c HTTP/1.1\r\n" + HOST + b"Accept: */*\r\nConnection: keep-alive\r\n\r\n")
    assert lines == [
        b"GET /a?b=c HTTP/1.1",
        b"Host: example.com",
        b"Accept: */*",
        b"Connection: keep-alive",
        b"X-Forwarded-For: 203.0.113.7",
        b"X-Forwarded-Proto: http",
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(b"X-Forwarded-For", b"x-forwarded-for", b"X_Forwarded_For", b"X-Forwarded_For", b"X-Forwarded-Proto"),
        *(b"X-Forwarded-Host", b"X-Forwarded-Port", b"Forwarded", b"X-Real-IP", b"X_REAL_IP"),
    ],
)
def test_what_a_client_says_of_its_own_address_is_dropped(name):
    head = read_head(b"GET / HTTP/1.1\r\n" + HOST + name + b": 6.6.6.6\r\n\r\n", CLIENT)
    assert b"6.6.6.6" not in head.rewritten


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"GET /\r\n" + HOST + b"\r\n",
        b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n",
        b"GET /\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"G(T / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Name : value\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"No-Colon\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b": value\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: one\r\n two\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: one\nB: two\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: one\rB: two\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"A: \x00\r\n\r\n",
    ],
)
def test_a_malformed_head_is_refused(head):
    with pytest.raises(RefusedError) as refused:
        read_head(head, CLIENT)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 5 5\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"Transfer-Encoding: identity\r\n",
    ],
)
def test_a_body_whose_end_could_be_read_in_two_ways_is_refused(framing):
    with pytest.raises(RefusedError) as refused:
        read_head(b"POST / HTTP/1.1\r\n" + HOST + framing + b"\r\n", CLIENT)
    assert refused.value.status == 400


def test_a_chunked_body_is_refused_in_http_1_0():
    with pytest.raises(RefusedError):
        read_head(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CLIENT)


def test_the_length_of_a_body_is_told():
    head = read_head(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 12 \r\n\r\n", CLIENT)
    assert (head.length, head.chunked, head.live) == (12, False, False)


def test_a_chunked_request_is_the_last_of_its_connection():
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Connection: keep-alive\r\nTransfer-Encoding: Chunked\r\n\r\n"
    assert read_head(head, CLIENT).chunked
    assert [line for line in lines_of(head) if line.lower().startswith(b"connection")] == [b"Connection: close"]


@pytest.mark.parametrize("target", [b"/ws", b"/ws/", b"/ws/events", b"/ws?a=b", b"http://example.com/ws/events"])
def test_a_websocket_request_goes_to_the_live_side(target):
    head = read_head(UPGRADE.replace(b"/ws/events", target) + b"\r\n", CLIENT)
    assert (head.live, head.handshake) == (True, True)


@pytest.mark.parametrize("target", [b"/api/events", b"/api/events?wait=30", b"http://example.com/api/events"])
def test_a_request_that_may_wait_for_events_goes_to_the_live_side(target):
    head = read_head(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", CLIENT)
    assert (head.live, head.handshake) == (True, False)


@pytest.mark.parametrize(
    "target", [b"/", b"/wsx", b"/api/ws/", b"//ws/", b"/api/events/ticket", b"*", b"http://example.com/api"]
)
def test_any_other_path_goes_to_the_web_side(target):
    assert not read_head(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n", CLIENT).live


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ws/events HTTP/1.1\r\n" + HOST,
        b"POST /ws/events HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n",
        UPGRADE.replace(b"GET", b"POST"),
        UPGRADE.replace(b"websocket", b"h2c"),
        UPGRADE + b"Content-Length: 5\r\n",
        UPGRADE + b"Transfer-Encoding: chunked\r\n",
    ],
)
def test_what_is_no_websocket_request_never_reaches_the_live_side(head):
    with pytest.raises(RefusedError) as refused:
        read_head(head + b"\r\n", CLIENT)
    assert refused.value.status == 426


def test_the_end_of_a_head_is_found_only_when_it_is_there():
    assert find_end(b"GET / HTTP/1.1\r\nHost: a\r\n") == 0
    assert find_end(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody") == 27


def test_a_head_of_bare_line_feeds_is_refused_before_it_times_out():
    with pytest.raises(RefusedError) as refused:
        find_end(b"GET / HTTP/1.1\nHost: a\n\n")
    assert refused.value.status == 400


def test_a_head_that_is_too_long_is_refused():
    with pytest.raises(RefusedError) as refused:
        find_end(b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD)
    assert refused.value.status == 431
