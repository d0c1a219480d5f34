"""Inserting many rows at the cost of the database, not of the ORM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, cast

from django.db import connection, models

_Adapter = Callable[[Any], Any]
_Field: TypeAlias = "models.Field[Any, Any]"


def insert(model: type[models.Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Insert rows of Python values, one for each named field, in the caller's transaction.

    A JSON field's value is its text; a field that is not named becomes NULL. One COPY on PostgreSQL, one
    prepared statement elsewhere. Nothing is validated and no signal is sent.
    """
    found = [cast(_Field, model._meta.get_field(name)) for name in fields]
    adapters = [_adapter(field) for field in found]
    table = connection.ops.quote_name(model._meta.db_table)
    names = ", ".join(connection.ops.quote_name(str(field.column)) for field in found)
    adapted = [
        [value if adapt is None else adapt(value) for adapt, value in zip(adapters, row, strict=True)] for row in rows
    ]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in adapted:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(found))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", adapted)  # noqa: S608 (our names)


def _adapter(field: _Field) -> _Adapter | None:
    """What makes the driver's value of a field's value; None if they are the same."""
    kind = field.target_field if isinstance(field, models.ForeignKey) else field
    if isinstance(kind, models.UUIDField | models.DateTimeField):
        return partial(kind.get_db_prep_value, connection=connection, prepared=False)
    return None
