"""Taking in the recipients of a broadcast: each is judged by itself, as JSON or as a line of CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

import orjson
from django.db import transaction
from django.db.models import F

from broadcasts import opt_outs, templating
from broadcasts.models import Broadcast, Recipient
from broadcasts.states import Progress, State
from config import bulk
from config.api.problems import FieldError, Problem, escaped, invalid
from config.ids import new_id
from instances.whatsapp.jids import Jid

MAX_RECIPIENTS = 100_000
OPTED_OUT = "opted_out"
MAX_ERRORS = 100  # so many are told of
_CHUNK = 1000
_FIELDS = {"to", "variables", "client_ref"}
_COLUMNS = ("id", "broadcast", "to", "variables", "client_ref", "state", "error_code")
_COLUMN = re.compile(r"to|client_ref|[a-z0-9_]{1,40}")


class Row(NamedTuple):
    """A recipient as it was given; ``pointer`` says where."""

    pointer: str
    to: Any
    variables: Any
    client_ref: Any = None


@dataclass
class Report:
    """What became of the recipients of one request; ``errors`` tells of the first MAX_ERRORS that are not valid."""

    accepted: int = 0
    duplicate: int = 0
    invalid: int = 0
    opted_out: int = 0
    errors: list[FieldError] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("accepted", "duplicate", "invalid", "opted_out")}

    def refuse(self, errors: Iterable[FieldError]) -> None:
        self.invalid += 1
        self.errors += list(errors)[: MAX_ERRORS - len(self.errors)]


# --- reading ------------------------------------------------------------------------------------


def rows_of_json(items: Sequence[Any]) -> Iterator[Row]:
    """Of ``{to, variables?, client_ref?}``; what is wrong with one is found when it is judged."""
    for place, item in enumerate(items):
        pointer = f"/recipients/{place}"
        if isinstance(item, dict) and not item.keys() - _FIELDS:
            yield Row(pointer, item.get("to"), item.get("variables", {}), item.get("client_ref"))
        else:
            yield Row(pointer, None, None)


def rows_of_csv(lines: Iterable[bytes]) -> Iterator[Row]:
    """Of a table in UTF-8 with a line of names: ``to``, perhaps ``client_ref``, and variables.

    An empty cell is no value. Commas or semicolons, whichever the first line has more of.
    Raises Problem ``invalid_request`` for what is no such table.
    """
    text = _decoded(lines)
    first = next(text, "")
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(chain([first], text), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_names(names)
        for cells in reader:
            if any(cells):
                yield _row_of(names, cells, reader.line_num)
    except csv.Error as error:
        raise invalid(f"/{reader.line_num}", "invalid_csv", f"Line {reader.line_num}: {error}.") from error


def _decoded(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise invalid(f"/{number}", "not_utf8", f"Line {number} is not UTF-8: save the table as UTF-8.") from error


def _check_names(names: list[str]) -> None:
    if "to" not in names:
        raise invalid("/1", "invalid_csv", "The first line has to name the columns, and one of them `to`.")
    for name in names:
        if not _COLUMN.fullmatch(name):
            words = "The name of a column is that of a variable: a-z, 0-9 and _, at most 40."
            raise invalid(f"/1/{escaped(name[:100])}", "invalid_variable", words)
    if len(set(names)) < len(names):
        raise invalid("/1", "invalid_csv", "Two columns have the same name.")


def _row_of(names: list[str], cells: list[str], line: int) -> Row:
    if len(cells) > len(names):
        return Row(f"/{line}", None, None)
    values = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    return Row(f"/{line}", values.pop("to", ""), values, values.pop("client_ref", None))


# --- judging and keeping ------------------------------------------------------------------------


class _Valid(NamedTuple):
    to: Jid
    variables: dict[str, str]
    client_ref: str | None


class _Judge:
    """Says which recipients a broadcast's message can be made for."""

    def __init__(self, message: dict[str, Any]) -> None:
        self._message = message
        self._variables = templating.variables(message)

    def judge(self, row: Row) -> _Valid:
        """Raises Problem ``invalid_request`` with pointers."""
        if not isinstance(row.to, str) or not isinstance(row.variables, dict):
            raise invalid(row.pointer, "invalid", "A recipient has `to`, and may have `variables` and `client_ref`.")
        values = self._values(row)
        try:
            rendered = templating.render(self._message, values)
        except templating.Missing as error:
            pointer = f"{row.pointer}/variables/{error.names[0]}"
            raise invalid(pointer, "missing_variable", str(error)) from error
        given = {"client_ref": row.client_ref} if row.client_ref is not None else {}
        try:
            made = templating.outgoing(rendered | given, instance=templating.SOME_INSTANCE, to=row.to)
        except Problem as problem:
            errors = [error._replace(pointer=f"{row.pointer}{error.pointer}") for error in problem.errors]
            fallback = [FieldError(row.pointer, problem.code, problem.detail)]
            raise Problem("invalid_request", problem.detail, errors=errors or fallback) from problem
        return _Valid(made.to, values, row.client_ref)

    def _values(self, row: Row) -> dict[str, str]:
        errors = []
        for name, value in row.variables.items():
            pointer = f"{row.pointer}/variables/{escaped(name)}"
            if name not in self._variables:
                errors.append(FieldError(pointer, "unknown_variable", "The message has no such variable."))
            elif not isinstance(value, str):
                errors.append(FieldError(pointer, "invalid", "A variable's value is a text."))
            elif len(value) > templating.MAX_VALUE:
                words = f"A variable's value has at most {templating.MAX_VALUE} characters."
                errors.append(FieldError(pointer, "max_length", words))
        if errors:
            raise Problem("invalid_request", errors=errors)
        return row.variables


Chunk = dict[Jid, _Valid]


def judged(message: dict[str, Any], rows: Iterable[Row], report: Report) -> Iterator[Chunk]:
    """The recipients for whom the message can be made, in chunks; the report is told of the others.

    The first of equal addresses counts. Raises Problem ``invalid_request`` for too many, and what reading the rows
    raises.
    """
    judge, left, number = _Judge(message), iter(rows), 0
    while chunk := list(islice(left, _CHUNK)):
        number += len(chunk)
        if number > MAX_RECIPIENTS:
            raise invalid("/recipients", "max_length", f"At most {MAX_RECIPIENTS} recipients at a time.")
        valid: Chunk = {}
        for row in chunk:
            try:
                one = judge.judge(row)
            except Problem as problem:
                report.refuse(problem.errors)
                continue
            if one.to in valid:
                report.duplicate += 1
            valid.setdefault(one.to, one)
        yield valid


@transaction.atomic
def keep(broadcast: Broadcast, valid: Chunk, report: Report) -> None:
    """Add a chunk of recipients to a draft. Who is there already is a duplicate: the same may be sent again.

    Raises Problem ``broadcast_started`` when it is no draft, and ``invalid_request`` for too many.
    """
    # The lock keeps out whoever adds to the same draft, or starts it.
    draft = Broadcast.objects.select_for_update(no_key=True).filter(pk=broadcast.pk, state=State.DRAFT).first()
    if draft is None:
        raise Problem("broadcast_started")
    names = {str(jid): jid for jid in valid}
    known = Recipient.objects.filter(broadcast=draft, to__in=names).values_list("to", flat=True)
    fresh = valid.keys() - {names[to] for to in known}
    if draft.accepted + draft.opted_out + len(fresh) > MAX_RECIPIENTS:
        raise invalid("/recipients", "max_length", f"A broadcast has at most {MAX_RECIPIENTS} recipients.")
    out = opt_outs.among(draft.organization_id, draft.network, fresh)
    bulk.insert(Recipient, _COLUMNS, [_row(draft, one, one.to in out) for one in valid.values() if one.to in fresh])
    report.duplicate += len(valid) - len(fresh)
    report.opted_out += len(out)
    report.accepted += len(fresh) - len(out)
    taken = {"accepted": len(fresh) - len(out), "opted_out": len(out)}
    Broadcast.objects.filter(pk=draft.pk).update(**{name: F(name) + number for name, number in taken.items()})


def _row(broadcast: Broadcast, one: _Valid, is_out: bool) -> tuple[Any, ...]:
    state, reason = (Progress.SKIPPED.value, OPTED_OUT) if is_out else (Progress.PENDING.value, None)
    return new_id("rcp"), broadcast.pk, str(one.to), orjson.dumps(one.variables).decode(), one.client_ref, state, reason


def count(broadcast: Broadcast, report: Report) -> None:
    """Add to the broadcast's figures what a request brought that was not kept."""
    Broadcast.objects.filter(pk=broadcast.pk).update(
        duplicate=F("duplicate") + report.duplicate, invalid=F("invalid") + report.invalid
    )
