"""TypeIDs: a prefix and a UUIDv7, such as ``ins_01h455vb4pex5vsknk084sn02q``.

In Python and on the wire an id is the text; in the database it is the UUID (16 bytes on PostgreSQL).
"""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from typeid import TypeID
from typeid.codecs import base32

# The codec by itself: TypeID validates what it makes, at ten times the cost, for each id of each row.
_SUFFIX, _LAST_SUFFIX = 26, "7zzzzzzzzzzzzzzzzzzzzzzzzz"


class InvalidId(ValueError):
    """The text is not a TypeID of the expected prefix."""


def new_id(prefix: str) -> str:
    """A fresh id; later ids of one process sort after earlier ones."""
    return str(TypeID(prefix))


def to_uuid(text: str, prefix: str) -> uuid.UUID:
    """The UUID inside an id. Raises InvalidId for any other text, whatever is wrong with it."""
    if not isinstance(text, str) or len(text) != len(prefix) + 1 + _SUFFIX or not text.startswith(f"{prefix}_"):
        raise InvalidId(f"not an id of the form {prefix}_…")
    try:
        return _parsed(text)
    except (RuntimeError, ValueError) as error:
        raise InvalidId(f"not an id of the form {prefix}_…") from error


@lru_cache(maxsize=4096)  # the ids of tenants and instances are read again and again
def _parsed(text: str) -> uuid.UUID:
    suffix = text[-_SUFFIX:]
    if suffix > _LAST_SUFFIX:
        raise InvalidId("more than 128 bits")
    return uuid.UUID(bytes=base32.decode(suffix))


def from_uuid(value: uuid.UUID, prefix: str) -> str:
    """The id text of a UUID."""
    return f"{prefix}_{base32.encode(value.bytes)}"


def first_id(moment: datetime, prefix: str) -> str:
    """The smallest id that can be made at this moment: ids begin with their time, and earlier ones sort before it."""
    return from_uuid(uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80), prefix)


def made_at(text: str, prefix: str) -> datetime:
    """When an id was made, to the millisecond. Raises InvalidId."""
    return datetime.fromtimestamp((to_uuid(text, prefix).int >> 80) / 1000, UTC)


def id_at(moment: datetime, prefix: str) -> str:
    """A fresh id as if made at a moment since 1970: it sorts among those that were made then."""
    random = secrets.randbits(74)
    milliseconds = max(0, int(moment.timestamp() * 1000))
    low = 0b10 << 62 | random & (1 << 62) - 1
    return from_uuid(uuid.UUID(int=milliseconds << 80 | 7 << 76 | random >> 62 << 64 | low), prefix)


class TypeIDField(models.UUIDField):
    """A UUID column whose Python value is the id text. Lookups with a foreign or broken id raise ValidationError."""

    if TYPE_CHECKING:  # what django-stubs takes for the type of the attribute
        _pyi_private_set_type: str
        _pyi_private_get_type: str  # type: ignore[assignment]
        _pyi_lookup_exact_type: str

    def __init__(self, *args: Any, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        if kwargs.get("primary_key"):
            kwargs.setdefault("default", partial(new_id, prefix))
            kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, path, args, kwargs = super().deconstruct()
        return name, path, list(args), kwargs | {"prefix": self.prefix}

    def to_python(self, value: Any) -> str | None:
        if value is None or (isinstance(value, str) and value.startswith(f"{self.prefix}_")):
            return value
        if isinstance(value, uuid.UUID):
            return from_uuid(value, self.prefix)
        raise ValidationError(f"not an id of the form {self.prefix}_…", code="invalid")

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> str | None:
        if value is None:
            return None
        return from_uuid(value if isinstance(value, uuid.UUID) else uuid.UUID(value), self.prefix)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None:
            return None
        if not isinstance(value, uuid.UUID):
            try:
                value = to_uuid(value, self.prefix)
            except InvalidId as error:
                raise ValidationError(str(error), code="invalid") from error
        return value if connection.features.has_native_uuid_field else value.hex

    def get_db_converters(self, connection: Any) -> list[Any]:
        return [self.from_db_value]
