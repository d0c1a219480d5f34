"""Cards of people as vCard 3.0 (RFC 2426), with WhatsApp's ``waid`` for a number that can be written to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_NOT_IN_PARAMETERS = re.compile(r'[\x00-\x1f\x7f":;,=]')
_NAME = ("last_name", "first_name", "middle_name", "prefix", "suffix")
_ADDRESS = ("street", "city", "state", "zip", "country")


def vcard(contact: Mapping[str, Any]) -> str:
    """The card of a contact in the words of the API; one that has a ``vcard`` is passed on as it is."""
    return str(contact.get("vcard") or "\n".join(_lines(contact)))


def _lines(contact: Mapping[str, Any]) -> Iterator[str]:
    name = contact["name"]
    yield "BEGIN:VCARD"
    yield "VERSION:3.0"
    yield f"N:{_joined(name, _NAME)}"
    yield f"FN:{_escaped(name['formatted_name'])}"
    if organization := contact.get("org"):
        yield f"ORG:{_joined(organization, ('company', 'department'))}"
        if title := organization.get("title"):
            yield f"TITLE:{_escaped(title)}"
    for one in contact.get("phones", ()):
        waid = f";waid={one['wa_id']}" if one.get("wa_id") else ""
        yield f"TEL{_type(one, 'CELL')}{waid}:{_escaped(one['phone'])}"
    for one in contact.get("emails", ()):
        yield f"EMAIL{_type(one)}:{_escaped(one['email'])}"
    for one in contact.get("urls", ()):
        yield f"URL{_type(one)}:{_escaped(one['url'])}"
    for one in contact.get("addresses", ()):
        yield f"ADR{_type(one)}:;;{_joined(one, _ADDRESS)}"
    if birthday := contact.get("birthday"):
        yield f"BDAY:{_escaped(birthday)}"
    yield "END:VCARD"


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "\\n".join(escaped.splitlines())


def _joined(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return ";".join(_escaped(values.get(name, "")) for name in names)


def _type(values: Mapping[str, Any], default: str = "") -> str:
    kind = _NOT_IN_PARAMETERS.sub("", values.get("type", "")) or default
    return f";type={kind}" if kind else ""
