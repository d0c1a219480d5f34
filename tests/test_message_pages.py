"""The pages of docs/messages: their commands, and the answers of the product.

``RECORD_ANSWERS=1`` writes the answers anew; then run ``python docs/generate.py``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from messaging.kinds.examples import EXAMPLES
from messaging.kinds.sends import TYPES
from stack.testing import RunningStack
from tests.product import Api, wait_for

PAGES = Path(__file__).resolve().parent.parent / "docs" / "messages"
_MOMENT = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_LID = re.compile(r"\d+@lid")
_KNOWN = "msg_01h455vb4pex5vsknk084sn02q"


def test_every_type_has_a_page_and_an_example() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(TYPES) == set(EXAMPLES)


@pytest.mark.end_to_end
@pytest.mark.only_with("sqlite")
def test_the_command_of_every_page_has_the_answer_of_the_page(
    stack: RunningStack, acme: Api, subtests: pytest.Subtests
) -> None:
    instance, number = acme.linked()
    customer = acme.phone("Carla")
    named = sent(acme, instance, customer)
    real = {"INSTANCE": instance, "KEY": acme.credential, "15550100002": customer, _KNOWN: named["id"]}
    real["http://127.0.0.1:8000"] = stack.address
    example = {
        instance: "ins_01h455vb4pex5vsknk084sn02q",
        customer: "15550100002",
        number: "15550100001",
        named["id"]: _KNOWN,
        named["wa_id"]: "3EB0C767D82B0A6D1F9C",
    }
    for type_ in TYPES:
        with subtests.test(type_):
            page = PAGES / f"{type_}.md"
            words = re.search(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
            assert words is not None
            answer = as_example(run(words[1], real), example, json.dumps(EXAMPLES[type_]))
            recorded = PAGES / "answers" / f"{type_}.json"
            if os.environ.get("RECORD_ANSWERS"):
                recorded.write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
            assert answer == json.loads(recorded.read_text())


def sent(acme: Api, instance: str, customer: str) -> dict[str, Any]:
    """A text that WhatsApp has acknowledged."""
    id_ = acme.send(instance, customer, "Helo")
    wait_for(lambda: acme.message(id_)["wa_id"], what="the id of WhatsApp")
    return acme.message(id_)


def run(command: str, real: dict[str, str]) -> dict[str, Any]:
    for name, value in real.items():
        command = command.replace(name, value)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)  # noqa: S602
    answer = dict(json.loads(done.stdout))
    assert answer.get("status") in ("queued", "preparing"), answer
    return answer


def as_example(answer: dict[str, Any], example: dict[str, str], body: str) -> dict[str, Any]:
    """An answer with the ids, numbers and moments of the docs."""
    text = json.dumps(answer)
    for value, shown in example.items():
        text = text.replace(value, shown)
    for place, id_ in enumerate(dict.fromkeys(re.findall(r"(?:msg|med)_[0-9a-z]{26}", text))):
        if id_ != _KNOWN:
            text = text.replace(id_, f"{id_[:4]}01h455vb4pex5vsknk084sn{place:03d}")
    text = _LID.sub("100000000000001@lid", text)
    for moment in set(_MOMENT.findall(text)) - set(_MOMENT.findall(body)):
        text = text.replace(moment, "2026-11-23T09:30:00.000Z")
    return dict(json.loads(text))
