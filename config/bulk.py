"""Writing many rows at the cost of the database, not of the ORM."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from django.db import connection, models

from config.ids import TypeIDField, to_uuid

_FEW = 20  # up to here one INSERT is faster than the round trips of a COPY
_Adapter = Callable[[Any], Any]
_Field: TypeAlias = "models.Field[Any, Any]"


def insert(model: type[models.Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of Python values, one for each named field, in the caller's transaction.

    A JSON field's value is its text; a field that is not named becomes NULL. Nothing is validated and no
    signal is sent.
    """
    found = [cast(_Field, model._meta.get_field(name)) for name in fields]
    adapters = [_adapter(field) for field in found]
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in found)
    adapted = [
        [value if adapt is None else adapt(value) for adapt, value in zip(adapters, row, strict=True)] for row in rows
    ]
    if not adapted:
        return
    place = f"({', '.join(['%s'] * len(found))})"
    with connection.cursor() as cursor:
        if len(adapted) <= _FEW:
            values = ", ".join([place] * len(adapted))
            statement = f"INSERT INTO {table} ({names}) VALUES {values}"  # noqa: S608 (names of ours)
            cursor.execute(statement, [value for row in adapted for value in row])
        elif connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in adapted:
                    copy.write_row(row)
        else:
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES {place}", adapted)  # noqa: S608


def update(
    model: type[models.Model], fields: Sequence[str], rows: Sequence[Sequence[Any]], guard: str | None = None
) -> int:
    """Update rows by primary key in one statement, in the caller's transaction; returns how many were changed.

    Each row has the key, then a value for each named field (of a JSON field its text). With ``guard``, the name of
    a field, it has one value more: only rows that still have it there are changed.
    """
    if not rows:
        return 0
    names = [str(model._meta.pk.name), *fields, *([guard] if guard else [])]
    found = [cast(_Field, model._meta.get_field(name)) for name in names]
    adapters = [_adapter(field) for field in found]
    quote, native = connection.ops.quote_name, connection.vendor == "postgresql"
    columns = [quote(str(field.column)) for field in found]
    names = [f"v.column{number}" for number in range(1, len(found) + 1)]  # as both databases name those of VALUES
    typed = [
        f"{name}::{field.db_type(connection)}" if native else name for name, field in zip(names, found, strict=True)
    ]
    table = quote(model._meta.db_table)
    place = f"({', '.join(['%s'] * len(found))})"
    changes = ", ".join(f"{columns[i]} = {typed[i]}" for i in range(1, len(fields) + 1))
    where = f"{table}.{columns[0]} = {typed[0]}" + (f" AND {table}.{columns[-1]} = {typed[-1]}" if guard else "")
    rows_ = ", ".join([place] * len(rows))
    # SQLite counts the rows only of a statement that begins with UPDATE.
    statement = f"UPDATE {table} SET {changes} FROM (VALUES {rows_}) AS v WHERE {where}"  # noqa: S608 (names of ours)
    values = [
        value if adapt is None else adapt(value) for row in rows for adapt, value in zip(adapters, row, strict=True)
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def values(model: type[models.Model], fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """``VALUES (…), (…)`` and its parameters, for a common table expression with columns like these fields."""
    found = [cast(_Field, model._meta.get_field(name)) for name in fields]
    adapters = [_adapter(field) for field in found]
    parameters = [
        value if adapt is None else adapt(value) for row in rows for adapt, value in zip(adapters, row, strict=True)
    ]
    place = ", ".join(["%s"] * len(found))
    first = place
    if connection.vendor == "postgresql":  # the first row says the types; a column of NULLs would be text
        first = ", ".join(f"%s::{field.cast_db_type(connection)}" for field in found)
    return f"VALUES ({'), ('.join([first, *[place] * (len(rows) - 1)])})", parameters


def _adapter(field: _Field) -> _Adapter | None:
    """What makes the driver's value of a field's value; None if they are the same."""
    kind = field.target_field if isinstance(field, models.ForeignKey) else field
    native = connection.vendor == "postgresql"
    if isinstance(kind, TypeIDField):
        return partial(_uuid if native else _hex, kind.prefix)
    if isinstance(kind, models.UUIDField | models.DateTimeField) and not native:
        return partial(kind.get_db_prep_value, connection=connection)
    return None


def _uuid(prefix: str, text: str | None) -> uuid.UUID | None:
    return None if text is None else to_uuid(text, prefix)


def _hex(prefix: str, text: str | None) -> str | None:
    return None if text is None else to_uuid(text, prefix).hex
