"""The functions of docs/verifying.md, run by the tools of their languages: what they accept and what they refuse."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from standardwebhooks import Webhook

from conftest import Person
from webhooks.dispatcher import Dispatcher
from webhooks.tests.conftest import Receiver, wait_for
from webhooks.tests.test_api import create
from webhooks.tests.test_deliveries import commit

PAGE = Path(settings.BASE_DIR) / "docs" / "verifying.md"
DRIVERS = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Case:
    """A request and the moment at which it is judged; a header that is None is missing. By default the vector."""

    secret: str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body: bytes = b'{"test": 2432232314}'
    now: int = 1614265330
    id: str | None = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    timestamp: str | None = "1614265330"
    signature: str | None = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

    def line(self) -> str:
        headers = ["-" if one is None else _packed(one.encode()) for one in (self.id, self.timestamp, self.signature)]
        return "\t".join([_packed(self.secret.encode()), _packed(self.body), str(self.now), *headers])


def _packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


VECTOR = Case()
OTHER = f"whsec_{_packed(32 * b'o')}"
_AT = datetime.fromtimestamp(VECTOR.now, UTC)
_BY_OTHER = Webhook(OTHER).sign(str(VECTOR.id), _AT, VECTOR.body.decode())
_UNICODE = '{"text": "grüße 🎉"}'
GOOD = {
    "the published vector": VECTOR,
    "almost five minutes late": replace(VECTOR, now=VECTOR.now + 299),
    "almost five minutes early": replace(VECTOR, now=VECTOR.now - 299),
    "the second of two signatures": replace(VECTOR, signature=f"{_BY_OTHER} {VECTOR.signature}"),
    "the first of two signatures": replace(VECTOR, secret=OTHER, signature=f"{_BY_OTHER} {VECTOR.signature}"),
    "among signatures of other kinds": replace(VECTOR, signature=f"v1a,AAAA v9,é nonsense  {VECTOR.signature}"),
    "more than ASCII": replace(
        VECTOR, body=_UNICODE.encode(), signature=Webhook(VECTOR.secret).sign(str(VECTOR.id), _AT, _UNICODE)
    ),
    "an empty body": replace(VECTOR, body=b"", signature=Webhook(VECTOR.secret).sign(str(VECTOR.id), _AT, "")),
}
BAD = {
    "too late": replace(VECTOR, now=VECTOR.now + 301),
    "too early": replace(VECTOR, now=VECTOR.now - 301),
    "another secret": replace(VECTOR, secret=OTHER),
    "another body": replace(VECTOR, body=VECTOR.body + b" "),
    "another id": replace(VECTOR, id="msg_other"),
    "another timestamp": replace(VECTOR, timestamp=str(VECTOR.now + 1)),
    "no id": replace(VECTOR, id=None),
    "no timestamp": replace(VECTOR, timestamp=None),
    "no signature": replace(VECTOR, signature=None),
    "an empty signature": replace(VECTOR, signature=""),
    "a signature without a version": replace(VECTOR, signature=str(VECTOR.signature).removeprefix("v1,")),
    "a signature of another version": replace(VECTOR, signature=str(VECTOR.signature).replace("v1,", "v2,")),
    "half a signature": replace(VECTOR, signature=str(VECTOR.signature)[:20]),
    "a longer signature": replace(VECTOR, signature=f"{VECTOR.signature}x"),
    "no base64": replace(VECTOR, signature="v1,🎉"),
    "signatures with a comma between": replace(VECTOR, signature=f"{_BY_OTHER},{VECTOR.signature}"),
    **{
        f"the timestamp {text!r}": replace(VECTOR, timestamp=text)
        for text in ("", "now", "-1", "1614265330.0", "1614265330\n", "²", "\uff11614265330", 30 * "9", 5000 * "9")
    },
}


class Language(NamedTuple):
    """How a recipe is run: its file, the driver beside it, the program that must be there, and commands."""

    file: str
    driver: str
    program: str
    commands: list[list[str]]


def _node() -> str:
    return shutil.which("node") or str(Path(sys.executable).parent / "node")


LANGUAGES = {
    "python": Language("recipe.py", "run.py", sys.executable, [[sys.executable, "run.py"]]),
    "javascript": Language("recipe.js", "run.js", _node(), [[_node(), "both.js"]]),
    "go": Language("recipe.go", "run.go", "go", [["go", "run", "recipe.go", "run.go"]]),
    "php": Language("recipe.php", "run.php", "php", [["php", "run.php"]]),
    "ruby": Language("recipe.rb", "run.rb", "ruby", [["ruby", "run.rb"]]),
    "java": Language("Webhooks.java", "Run.java", "javac", [["javac", "Webhooks.java", "Run.java"], ["java", "Run"]]),
}
Judge = Callable[[list[Case]], list[str]]


@pytest.fixture(params=LANGUAGES)
def judge(request: pytest.FixtureRequest, tmp_path: Path) -> Judge:
    """What the recipe says to each of some cases."""
    language = LANGUAGES[request.param]
    if not shutil.which(language.program):
        pytest.skip(f"{language.program} is not installed")
    (code,) = re.findall(rf"```{request.param}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    driver = (DRIVERS / language.driver).read_text()
    (tmp_path / language.file).write_text(code)
    (tmp_path / language.driver).write_text(driver)
    (tmp_path / "both.js").write_text(code + driver)

    def run(cases: list[Case]) -> list[str]:
        lines = "".join(f"{case.line()}\n" for case in cases)
        for command in language.commands:
            done = subprocess.run(command, cwd=tmp_path, input=lines, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_a_recipe_accepts_what_is_genuine_and_refuses_the_rest(judge: Judge) -> None:
    said = judge([*GOOD.values(), *BAD.values()])
    assert dict(zip([*GOOD, *BAD], said, strict=True)) == dict.fromkeys(GOOD, "yes") | dict.fromkeys(BAD, "no")


def test_every_language_has_one_recipe() -> None:
    fences = re.findall(r"^```(\w+)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(fences) == sorted(LANGUAGES)


def test_the_python_recipe_accepts_our_deliveries_while_a_secret_is_rotated(
    dispatcher: Dispatcher, alice: Person, receiver: Receiver, draft: Any
) -> None:
    created = create(alice, url=receiver.url)
    new = alice.client.post(f"/api/webhooks/{created['id']}/rotate-secret", {}, format="json").json()["secret"]
    commit(draft())
    dispatcher.wake(created["id"])
    wait_for(lambda: receiver.requests)
    (request,) = receiver.requests
    scope: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0], scope)  # noqa: S102
    for secret in (created["secret"], new):
        assert scope["is_genuine"](secret, request.headers, request.body)
        Webhook(secret).verify(request.body, request.headers)
    assert not scope["is_genuine"](OTHER, request.headers, request.body)
