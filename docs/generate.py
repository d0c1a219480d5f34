"""Writes the parts of the docs that are drawn from the code: `python docs/generate.py`. A test compares them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def _diagram(transitions: Mapping[str, frozenset[str]]) -> str:
    lines = [f"    {before} --> {after}" for before, afters in transitions.items() for after in sorted(afters)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```"])


def states() -> str:
    """docs/states.md."""
    from instances import states as of_instances
    from messaging import states as of_messages

    reasons = [f"| `{code}` | {reason.sentence} | {reason.advice} |" for code, reason in of_instances.REASONS.items()]
    return "\n".join(
        [
            "# States",
            "",
            "Written by `docs/generate.py` from `instances/states.py` and `messaging/states.py`.",
            "",
            "## Instances",
            "",
            _diagram(of_instances.TRANSITIONS),
            "",
            "| reason | in words | what to do |",
            "|---|---|---|",
            *reasons,
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


PAGES = {"states.md": states, "problems.md": problems}

if __name__ == "__main__":
    import django

    django.setup()
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
