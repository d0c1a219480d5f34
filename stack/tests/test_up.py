"""What `make up` says when it cannot start, and the pieces it starts with."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stack.first_message import commands
from stack.options import OptionError, Options
from stack.paths import PROJECT, Paths
from stack.programs import Programs, sandbox_ports


def up(var: Path, **environ: str) -> tuple[int, list[str]]:
    """Exit code of ``stack up`` and the lines it wrote to standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "stack", "up"],
        cwd=PROJECT,
        env=os.environ | {"VAR_DIR": str(var)} | environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stderr.splitlines()


def test_a_busy_port_is_one_line_that_names_the_setting(var: Path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        code, lines = up(var, PORT=str(port))
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"PORT {port} is in use")


def test_a_second_start_on_the_same_folder_is_refused_in_one_line(var: Path):
    (var / "run").mkdir()
    with (var / "run" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, lines = up(var)
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"It already runs with VAR_DIR {var}")


def test_a_broken_setting_is_one_line(var: Path):
    code, lines = up(var, SESSION_WORKERS="many")
    assert (code, lines) == (2, ["SESSION_WORKERS must be a whole number from 0 to 64, not 'many'."])


def test_an_unusable_folder_is_one_line(var: Path):
    (var / "file").touch()
    code, lines = up(var / "file")
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"VAR_DIR {var / 'file'} cannot be used: ")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"PORT": "0"}, "PORT"),
        ({"PORT": "65536"}, "PORT"),
        ({"PORT": "80 80"}, "PORT"),
        ({"WEB_WORKERS": "0"}, "WEB_WORKERS"),
        ({"TASK_THREADS": "-1"}, "TASK_THREADS"),
        ({"SESSION_WORKERS": "1.5"}, "SESSION_WORKERS"),
        ({"ENVIRONMENT": "production"}, "ENVIRONMENT"),
    ],
)
def test_a_setting_that_cannot_be_is_named(environ: dict[str, str], named: str):
    with pytest.raises(OptionError, match=named):
        Options.of(environ)


def test_settings_have_defaults_and_empty_ones_count_as_not_given():
    options = Options.of({"PORT": "", "HOST": ""})
    assert options == Options.of({})
    assert (options.address, options.session_workers, options.embedded_postgres) == ("http://127.0.0.1:8000", 1, False)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:81"),  # noqa: S104 (nothing is bound)
        ("::", "http://[::1]:81"),
        ("::1", "http://[::1]:81"),
        ("a.b", "http://a.b:81"),
    ],
)
def test_the_address_told_is_one_a_client_can_use(host: str, address: str):
    assert Options.of({"HOST": host, "PORT": "81"}).address == address


def test_the_sandbox_keeps_its_ports_until_somebody_takes_them(tmp_path: Path):
    file = tmp_path / "ports.json"
    ports = sandbox_ports(file)
    assert sandbox_ports(file) == ports
    with socket.create_server(("127.0.0.1", ports[1])):
        others = sandbox_ports(file)
        assert ports[1] not in others
    assert sandbox_ports(file) == others


def test_only_session_workers_of_the_sandbox_see_the_overlay(paths: Paths):
    overlay = {
        "PYTHONPATH": "/overlay",
        "SSL_CERT_FILE": "/overlay/ca.pem",
        "WHATSAPP_MEDIA_HOST": "127.0.0.1:1",
    }
    (paths.sandbox / "ready.json").write_text(json.dumps({"pid": 1, "env": overlay}))
    programs = Programs(Options.of({}), paths, {"PYTHONPATH": "/own", "SSL_CERT_FILE": "/system/ca.pem"})
    assert programs.overlay_environ() == {
        "PYTHONPATH": os.pathsep.join(("/overlay", "/own")),
        "SSL_CERT_FILE": "/overlay/ca.pem",
        "WHATSAPP_MEDIA_HOST": "127.0.0.1:1",
        "NEONIZE_BOT_TAG": "off",
    }
    live = programs.sessions("whatsapp", 1, lambda: {"NEONIZE_BOT_TAG": "off"})
    assert live.environ["SSL_CERT_FILE"] == "/system/ca.pem"
    assert "/overlay" not in live.environ["PYTHONPATH"]
    assert "WHATSAPP_MEDIA_HOST" not in live.environ


def test_a_command_is_run_with_the_overlay_outside_of_make_up_too(tmp_path: Path):
    ready = tmp_path / "ready.json"
    overlay = {"PYTHONPATH": "/overlay", "SSL_CERT_FILE": "/overlay/ca.pem", "WHATSAPP_MEDIA_HOST": "127.0.0.1:1"}
    ready.write_text(json.dumps({"env": overlay}))
    shown = subprocess.run(
        [sys.executable, "-m", "stack.with_overlay", str(ready), "sh", "-c", "echo $PYTHONPATH $SSL_CERT_FILE"],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "/overlay /overlay/ca.pem\n"


def test_the_commands_for_the_first_message_are_filled_in_completely():
    filled = commands(address="http://127.0.0.1:8000", key="wak_test_1", instance="ins_1", phones=["1555", "1556"])
    assert len(filled) == 3
    for command in filled:
        assert command.startswith("curl ")
        assert "http://127.0.0.1:8000/api/" in command
        assert "Bearer wak_test_1'" in command
    bodies = [command.rpartition("-d '")[2].removesuffix("'") for command in filled[:2]]
    assert [json.loads(body)["instance"] for body in bodies] == ["ins_1", "ins_1"]
    assert json.loads(bodies[1])["to"] == "1556"
