"""Writes the parts of the docs that are drawn from the code: `python docs/generate.py`. A test compares them."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.variables import Variable

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def _diagram(transitions: Mapping[str, frozenset[str]]) -> str:
    lines = [f"    {before} --> {after}" for before, afters in transitions.items() for after in sorted(afters)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def states() -> str:
    """docs/states.md."""
    from broadcasts import states as of_broadcasts
    from instances import states as of_instances
    from messaging import states as of_messages

    reasons = [f"| `{code}` | {reason.sentence} | {reason.advice} |" for code, reason in of_instances.REASONS.items()]
    return "\n".join(
        [
            "# States",
            "",
            "Written by `docs/generate.py` from the `states.py` of instances, broadcasts and messaging.",
            "",
            "## Instances",
            "",
            _diagram(of_instances.TRANSITIONS),
            "",
            "| state | in words |",
            "|---|---|",
            *(f"| `{state}` | {sentence} |" for state, sentence in of_instances.SENTENCES.items()),
            "",
            "Why it is in its state, and what to do:",
            "",
            "| reason | in words | what to do |",
            "|---|---|---|",
            *reasons,
            "",
            "## Broadcasts",
            "",
            "A broadcast that is paused for another reason than `user` goes on by itself.",
            "",
            _diagram(of_broadcasts.TRANSITIONS),
            "",
            "## Messages",
            "",
            "Receipts come in any order; a status never moves back.",
            "",
            _diagram(of_messages.TRANSITIONS),
            "",
        ]
    )


def problems() -> str:
    """docs/problems.md."""
    from config.api.problems import CATALOGUE

    rows = [f"| `{code}` | {status} | {title} |" for code, (status, title) in CATALOGUE.items()]
    head = ["# Error codes", "", "Written by `docs/generate.py` from `config/api/problems.py`.", ""]
    return "\n".join([*head, "| code | status | title |", "|---|---|---|", *rows, ""])


_COMPOSE = {
    "POSTGRES_PASSWORD": "Letters and digits.",
    "VALKEY_PASSWORD": "Letters and digits.",
    "TLS_DIR": "Folder with `fullchain.pem` and `privkey.pem`.",
}


def _variables() -> Iterator[Variable]:
    from config.env import VARIABLES
    from config.variables import Variable
    from stack.options import SETTINGS

    yield from VARIABLES
    for name, setting in SETTINGS.items():
        values = f"a whole number from {setting.low} to {setting.high}" if setting.high else "a text"
        yield Variable("`make up` alone", name, values, f"`{setting.default}`", setting.help, False)
    for name, help_ in _COMPOSE.items():
        yield Variable("`compose.yaml` alone", name, "a text", "none", help_, "PASSWORD" in name)


def configuration() -> str:
    """docs/configuration.md."""
    lines = [
        "# Environment variables",
        "",
        "Written by `docs/generate.py` from `config/env.py` and `stack/options.py`. A process that finds some of them",
        "wrong ends at its start with one line for each. They stand in the environment, in the file `.env` of the",
        "project's folder, or, one by one, in a file that `NAME_FILE` names (Docker's secrets).",
    ]
    for section, variables in itertools.groupby(_variables(), key=lambda variable: variable.section):
        lines += ["", f"## {section}", "", "| variable | value | default | meaning |", "|---|---|---|---|"]
        lines += [f"| `{v.name}` | {v.values} | {v.default} | {v.help} |" for v in variables]
    return "\n".join([*lines, ""])


def example() -> str:
    """.env.example."""
    lines = ["# Copy to .env and change what you need; docs/configuration.md says more. Written by docs/generate.py."]
    for section, variables in itertools.groupby(_variables(), key=lambda variable: variable.section):
        lines += ["", f"# --- {section.replace('`', '')}"]
        for variable in variables:
            if variable.name == "ENV_FILE":
                continue  # it names this file
            derived = "_DIR" in variable.default or variable.default == "none"
            default = "" if derived else variable.default.split(";")[0].strip("`")
            lines += [f"# {variable.help.replace('`', '')} ({variable.values})", f"#{variable.name}={default}"]
    return "\n".join([*lines, ""])


def openapi() -> str:
    """docs/openapi.json."""
    from config.api.openapi import document

    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def metrics() -> str:
    """docs/metrics.md."""
    from config.metrics import CATALOGUE

    rows = [
        f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.label_names)} | {one.help} |"
        for one in CATALOGUE
    ]
    head = ["# Metrics", "", "Written by `docs/generate.py` from `config/metrics.py`. How to read them:"]
    head += ["[observability.md](observability.md).", "", "| name | kind | labels | what |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def failures() -> str:
    """docs/failures.md."""
    from instances.whatsapp.failures import CODES, OUTCOMES, RULES

    lines = [
        "# Why messages fail",
        "",
        "Written by `docs/generate.py` from `instances/whatsapp/failures.py`. The `error` of a message has",
        "one of these codes.",
        "`retryable` says that the same message may be taken later and has certainly not arrived.",
        "",
        "| code | in words | retryable |",
        "|---|---|---|",
        *(f"| `{code}` | {words.sentence} | {'yes' if words.retryable else 'no'} |" for code, words in CODES.items()),
        "",
        "## What the engine says",
        "",
        "The error texts of the client library, matched from the top, and what becomes of the message:",
        "",
        *(f"- `{outcome}`: {sentence}" for outcome, sentence in OUTCOMES.items()),
        "",
        "A text that is not in the table is `engine_error`, a `doubt`.",
        "",
        "| text | code | outcome |",
        "|---|---|---|",
        *(f"| `{rule.pattern.replace('|', chr(92) + '|')}` | `{rule.code}` | `{rule.outcome}` |" for rule in RULES),
        "",
    ]
    return "\n".join(lines)


PAGES: dict[str, Callable[[], str]] = {
    "failures.md": failures,
    "metrics.md": metrics,
    "states.md": states,
    "problems.md": problems,
    "configuration.md": configuration,
    "../.env.example": example,
    "openapi.json": openapi,
}

import event_pages  # noqa: E402  (beside this file)
import message_pages  # noqa: E402

PAGES["events.md"] = event_pages.page
PAGES |= {f"messages/{type_}.md": partial(message_pages.page, type_) for type_ in message_pages.INTRODUCTIONS}

if __name__ == "__main__":
    import django

    django.setup()
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
