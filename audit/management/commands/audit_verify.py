from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit.verification import Head, verify


class Command(BaseCommand):
    help = (
        "Prove that the audit log is what was written. Prints the head of each chain as `name sequence hash`: keep "
        "these lines elsewhere, and hand them in later with --anchors. Ends with 1 if anything is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--organization", help="the id of one organization; without it all chains are checked")
        parser.add_argument("--anchors", type=Path, help="a file of lines printed earlier")

    def handle(self, *args: Any, organization: str | None, anchors: Path | None, **options: Any) -> None:
        report = verify(organization, list(_anchors(anchors)) if anchors else [])
        for head in report.heads:
            self.stdout.write(" ".join(map(str, head)))
        for line in report.damage:
            self.stderr.write(line)
        result = f"{len(report.heads)} chains, {report.entries} entries: "
        self.stderr.write(result + (f"{len(report.damage)} kinds of damage" if report.damage else "intact"))
        if report.damage:
            sys.exit(1)


def _anchors(file: Path) -> Iterator[Head]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The anchors cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        match line.split():
            case [chain, sequence, hash_] if sequence.isdigit():
                yield Head(chain, int(sequence), hash_)
            case []:
                pass
            case _:
                raise CommandError(f"Line {number} of the anchors is not `name sequence hash`.")
