"""What the docs say is what the product does."""

from __future__ import annotations

import re
import runpy
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stack.first_message import commands
from stack.testing import RunningStack
from tests.product import wait_for

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PAGES: dict[str, Callable[[], str]] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), "run: python docs/generate.py"


def test_links_between_the_docs_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#]+)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert broken == []


def test_the_layout_in_the_readme_names_every_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    named = set(re.findall(r"^(\w+)/ ", README, re.MULTILINE))
    assert packages <= named


def _blocks() -> list[str]:
    """The commands of the README's shell blocks, without the ones that make starts."""
    found = []
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL):
        found += [command for command in block.strip().split("\n\n") if command.startswith("curl")]
    return found


def test_the_readme_quotes_the_commands_that_make_up_prints() -> None:
    printed = commands(
        address="http://127.0.0.1:8000", key="KEY", instance="INSTANCE", phones=["15550100001", "15550100002"]
    )
    assert _blocks()[:3] == printed


@pytest.mark.end_to_end
@pytest.mark.only_with("sqlite")
def test_the_commands_of_the_readme_lead_to_a_delivered_message_and_an_answer(stack: RunningStack) -> None:
    listener = subprocess.Popen(
        ["make", "listen"], cwd=ROOT, env=stack.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert listener.stdout is not None
    try:
        assert any("Listening" in line for line in iter(listener.stdout.readline, ""))
        scan, send, look, answer = (_filled(command, stack) for command in _blocks())
        wait_for(lambda: '"phone"' in _run(scan), what="a scanned code")
        assert '"queued"' in _run(send)
        wait_for(lambda: '"Hello"' in _run(look), what="the message on the phone")
        _run(answer)
        seen = _lines_until_both(listener)
    finally:
        listener.terminate()
        listener.communicate(timeout=20)
    assert any(line.startswith("WebSocket") for line in seen)
    assert any(line.startswith("webhook") for line in seen)


def _auth(stack: RunningStack) -> str:
    return f"-H 'Authorization: Bearer {stack.key}'"


def _filled(command: str, stack: RunningStack) -> str:
    filled = command.replace("KEY", stack.key).replace("INSTANCE", stack.instance)
    return filled.replace("http://127.0.0.1:8000", stack.address)


def _run(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout  # noqa: S602


def _lines_until_both(listener: subprocess.Popen[str]) -> list[str]:
    """The listener's lines about the answer: one from each way."""
    assert listener.stdout is not None
    found: list[str] = []
    deadline = time.monotonic() + 30
    while len(found) < 2 and time.monotonic() < deadline:
        line = listener.stdout.readline()
        if "message.received" in line and "Hello back" in line:
            found.append(line)
    return found
