"""The sandbox as a process: command line, sockets, files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from .harness import PATIENCE, ROOT, SandboxProcess, request, wait_until


def run(*arguments: object, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def options(folder: Path, cache: Path) -> list[object]:
    return ["--port", 0, "--media-port", 0, "--cache", cache, "--state", folder / "s", "--control", folder / "c"]


def test_it_says_where_it_is(sandbox: SandboxProcess) -> None:
    ready = sandbox.ready
    assert ready == json.loads((sandbox.folder / "state" / "ready.json").read_text())
    assert ready.keys() == {"pid", "url", "control", "env"}
    assert sandbox.process is not None
    assert ready["pid"] == sandbox.process.pid
    assert ready["url"].startswith("ws://127.0.0.1:")
    assert ready["env"].keys() == {"PYTHONPATH", "SSL_CERT_FILE", "WHATSAPP_MEDIA_HOST"}
    overlay = Path(ready["env"]["PYTHONPATH"])
    assert [p.name for p in overlay.iterdir()] == ["neonize"]
    assert overlay.parent == sandbox.cache
    assert "BEGIN CERTIFICATE" in Path(ready["env"]["SSL_CERT_FILE"]).read_text()


def test_the_control_api_is_a_private_socket_and_on_no_port(sandbox: SandboxProcess) -> None:
    control = Path(sandbox.ready["control"])
    assert control.is_socket()
    assert control.stat().st_mode & 0o777 == 0o600
    assert sandbox("state")["sessions"] == 0
    for method in ("GET", "POST"):
        url = f"http://127.0.0.1:{sandbox.port}/control/state"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(urllib.request.Request(url, b"{}" if method == "POST" else None), timeout=PATIENCE)
        assert caught.value.code in (400, 404, 405)
        caught.value.close()
    ports = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout
    everywhere = [line.split()[1] for line in ports.splitlines()[1:] if line.split()[1].startswith("00000000:")]
    assert f"00000000:{sandbox.port:04X}" not in everywhere


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(sandbox: SandboxProcess, number: int) -> None:
    assert sandbox.process is not None
    sandbox("create_phone", phone="491700000001")
    sandbox.process.send_signal(number)
    assert sandbox._reap() == 0
    assert not Path(sandbox.ready["control"]).exists()
    assert not (sandbox.folder / "state" / "ready.json").exists()
    sandbox.start()
    assert sandbox("phone", phone="491700000001")["phone"] == "491700000001"


def test_a_kill_loses_nothing_that_was_answered(sandbox: SandboxProcess) -> None:
    """And the socket file of the dead process is no obstacle."""
    sent = []
    for round_ in range(3):
        sandbox("create_phone", phone=f"49170000000{round_}")
        for number in range(20):
            sent.append(f"{round_} {number}")
            sandbox("send_text", phone=f"49170000000{round_}", to="491700000000", text=sent[-1])
        sandbox.kill()
        assert Path(sandbox.ready["control"]).exists()
        sandbox.start()
    wait_until(lambda: sandbox.texts("491700000000") == sent[20:] or sandbox.texts("491700000000") == sent)
    assert [p["phone"] for p in sandbox("phones")] == [f"49170000000{n}" for n in range(3)]


def test_a_busy_port_is_one_clear_line(sandbox: SandboxProcess, tmp_path: Path, cache: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option, name in (("--port", "port"), ("--media-port", "media port")):
            ended = run(*options(tmp_path / name, cache), option, port)
            assert (ended.returncode, ended.stdout) == (2, "")
            assert ended.stderr == f"sandbox: {name} {port} is in use by another process\n"
            assert not list((tmp_path / name).glob("c"))


def test_two_cannot_use_one_state_or_one_control_socket(sandbox: SandboxProcess, tmp_path: Path, cache: Path) -> None:
    other = options(tmp_path / "other", cache)
    for option, value, message in (
        ("--state", tmp_path / "state", "another sandbox uses the state folder"),
        ("--control", sandbox.ready["control"], "another process listens on"),
    ):
        ended = run(*other, option, value)
        assert ended.returncode == 2
        assert message in ended.stderr
        assert ended.stderr.count("\n") == 1
    assert sandbox("state")["sessions"] == 0
    assert (tmp_path / "state" / "ready.json").exists()


@pytest.mark.parametrize("obstacle", ["too long", "a file"])
def test_an_impossible_control_path_is_one_clear_line(tmp_path: Path, cache: Path, obstacle: str) -> None:
    path = tmp_path / ("x" * 110 if obstacle == "too long" else "file")
    if obstacle == "a file":
        path.write_text("precious")
    ended = run(*options(tmp_path, cache), "--control", path)
    assert ended.returncode == 2
    assert str(path) in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert obstacle == "too long" or path.read_text() == "precious"


def test_a_command_runs_in_the_environment_of_a_client(tmp_path: Path, cache: Path) -> None:
    script = (
        "import importlib.util, json, os, stat;"
        "print(json.dumps([importlib.util.find_spec('neonize').origin, os.environ['SANDBOX_CONTROL'],"
        " stat.S_ISSOCK(os.stat(os.environ['SANDBOX_CONTROL']).st_mode)]));"
        "raise SystemExit(7)"
    )
    ended = run(*options(tmp_path, cache), "--", sys.executable, "-c", script)
    assert ended.returncode == 7, ended.stderr
    origin, control, is_socket = json.loads(ended.stdout)
    assert origin.startswith(str(cache))
    assert (control, is_socket) == (str(tmp_path / "c"), True)
    assert not (tmp_path / "c").exists()


def test_a_command_that_does_not_exist_is_one_clear_line(tmp_path: Path, cache: Path) -> None:
    ended = run(*options(tmp_path, cache), "--", "/no/such/program")
    assert (ended.returncode, ended.stderr) == (2, "sandbox: cannot run /no/such/program: No such file or directory\n")


def test_errors_of_the_control_api_have_one_shape(shared_sandbox: SandboxProcess) -> None:
    control = shared_sandbox.ready["control"]
    for method, body, status, code in (
        ("phone", b'{"phone": "499999999999"}', 404, "phone_not_found"),
        ("nothing", b"{}", 404, "method_not_found"),
        ("phone", b"{", 400, "bad_arguments"),
        ("send_image", b'{"data":"' + b"A" * (33 << 20) + b'"}', 413, "too_large"),
    ):
        answer = request(control, method, body)
        assert answer[0] == status
        assert answer[1]["error"].keys() == {"code", "detail"}
        assert answer[1]["error"]["code"] == code


def test_garbage_on_the_port_disturbs_nobody(shared_sandbox: SandboxProcess) -> None:
    upgrade = (
        b"GET /ws/chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    for garbage in (
        b"\x82\x85\0\0\0\0hello",
        b"\x82\x87\0\0\0\0WA\x06\x03\0\0\0",
        b"\x82\x88\0\0\0\0WA\x06\x03\0\0\1\xff",
    ):
        with socket.create_connection(("127.0.0.1", shared_sandbox.port), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(upgrade)
            assert b"101" in connection.recv(4096)
            connection.sendall(garbage)
            while connection.recv(4096):
                pass
    assert shared_sandbox("state")["messages"] >= 0
    log = (shared_sandbox.folder / "log").read_text()
    assert "Traceback" not in log


def test_the_library_is_redirected_without_being_changed(shared_sandbox: SandboxProcess) -> None:
    from sandbox.overlay import OFFICIAL_ROOT, OFFICIAL_URL
    from sandbox.protos import package_dir

    (installed,) = package_dir().glob("*.so")
    (patched,) = (Path(shared_sandbox.ready["env"]["PYTHONPATH"]) / "neonize").glob("*.so")
    assert not patched.is_symlink()
    original, changed = installed.read_bytes(), patched.read_bytes()
    assert len(original) == len(changed)
    assert (original.count(OFFICIAL_URL), original.count(OFFICIAL_ROOT)) == (1, 1)
    assert (changed.count(OFFICIAL_URL), changed.count(OFFICIAL_ROOT)) == (0, 0)
    assert f"ws://127.0.0.1:{shared_sandbox.port}/".encode() in changed
    assert os.path.samefile(package_dir() / "client.py", patched.with_name("client.py"))
