"""Writing many rows at the cost of the database, not of the ORM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import orjson
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
        elif _is_native():
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
    columns = [connection.ops.quote_name(str(field.column)) for field in found]
    table = connection.ops.quote_name(model._meta.db_table)
    changes = ", ".join(f"{column} = v.v{number}" for number, column in enumerate(columns[1 : len(fields) + 1], 1))
    last = len(found) - 1
    where = f"{table}.{columns[0]} = v.v0" + (f" AND {table}.{columns[last]} = v.v{last}" if guard else "")
    relation, parameters = _relation(found, rows)
    named = ", ".join(f"v{number}" for number in range(len(found)))
    # SQLite counts the rows only of a statement that begins with UPDATE; its VALUES name their columns themselves.
    chosen = ", ".join(f"column{number + 1} AS v{number}" for number in range(len(found)))
    source = f"({relation}) AS v ({named})" if _is_native() else f"(SELECT {chosen} FROM ({relation})) AS v"  # noqa: S608
    statement = f"UPDATE {table} SET {changes} FROM {source} WHERE {where}"  # noqa: S608 (names of ours)
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return int(cursor.rowcount)


def values(model: type[models.Model], fields: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A query that yields the rows, and its parameters, for a common table expression with columns like these fields.

    At least one row; the values are those of `update`.
    """
    return _relation([cast(_Field, model._meta.get_field(name)) for name in fields], rows)


def _relation(fields: Sequence[_Field], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    if not _is_native():
        adapters = [_adapter(field) for field in fields]
        place = f"({', '.join(['%s'] * len(fields))})"
        parameters = [
            value if adapt is None else adapt(value) for row in rows for adapt, value in zip(adapters, row, strict=True)
        ]
        return f"VALUES {', '.join([place] * len(rows))}", parameters
    # One parameter: the driver takes longer for each of many than PostgreSQL for the row.
    ids = [_prefix(field) for field in fields]
    table = [
        [value if prefix is None else _hex(prefix, value) for prefix, value in zip(ids, row, strict=True)]
        for row in rows
    ]
    columns = ", ".join(f"(r->>{number})::{field.cast_db_type(connection)}" for number, field in enumerate(fields))
    query = f"SELECT {columns} FROM json_array_elements(%s::json) AS r"  # noqa: S608 (types of the fields)
    return query, [orjson.dumps(table).decode()]


def _is_native() -> bool:
    return connection.vendor == "postgresql"


def _prefix(field: _Field) -> str | None:
    """The prefix of the ids in a column; None if it holds something else."""
    kind = field.target_field if isinstance(field, models.ForeignKey) else field
    return kind.prefix if isinstance(kind, TypeIDField) else None


def _adapter(field: _Field) -> _Adapter | None:
    """What makes the driver's value of a field's value; None if they are the same."""
    if prefix := _prefix(field):
        return partial(_hex, prefix)
    if isinstance(field, models.UUIDField | models.DateTimeField) and not _is_native():
        return partial(field.get_db_prep_value, connection=connection)
    return None


def _hex(prefix: str, text: str | None) -> str | None:
    """The UUID of an id as text; for PostgreSQL's driver too that is the cheapest of all."""
    return None if text is None else to_uuid(text, prefix).hex
