"""Messages with ``{{name}}`` and ``{{name|default}}`` in their texts.

Each place is replaced once; what a value brings is text and never a place. There is no logic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from config.api.problems import FieldError, Problem, escaped, invalid
from messaging.accepting.orders import Outgoing
from messaging.api import payload

MAX_VARIABLES, MAX_PLACES, MAX_VALUE = 50, 200, 1000
NAME = re.compile(r"[a-z0-9_]{1,40}")
# No two parts can take the same character, or a long text of spaces would take cubic time.
_PLACE = re.compile(r"\{\{\s*([a-z0-9_]{1,40})\s*(?:\|([^{}]*))?\}\}")
# What acts on one message of one chat has nothing to say to many people.
NOT_FOR_MANY = frozenset({"forward", "reaction", "edit", "revoke", "pin"})
NOT_HERE = ("instance", "to", "client_ref", "send_at", "context", "audience")
# A place may stand where only some texts are taken: one of these has to do.
_SAMPLES = ("x{}", "https://example.com/{}", "1555010{:04}")
SOME_INSTANCE, _SOMEBODY = "ins_01h455vb4pex5vsknk084sn02q", "15550100001"


class Missing(Exception):
    """Values are missing; ``names`` says which."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"Values are missing: {', '.join(names)}.")
        self.names = names


def _leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON value, with its JSON pointer."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{pointer}/{place}")
    elif isinstance(value, str):
        yield pointer, value


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _mapped(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value


def variables(message: Mapping[str, Any]) -> dict[str, str | None]:
    """The names that the message has places for, in order, with the default; None where a value is required."""
    found: dict[str, str | None] = {}
    for _, text in _leaves(message):
        for name, default in _places(text):
            found[name] = None if default is None else found.get(name, default)
    return found


def _places(text: str) -> list[tuple[str, str | None]]:
    return [(match[1], _default(match)) for match in _PLACE.finditer(text)]


def _default(place: re.Match[str]) -> str | None:
    return None if place[2] is None else place[2].strip()


def render(message: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The message with its places filled. Raises Missing."""
    missing: dict[str, None] = {}

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1], _default(match))
        if value is None:
            missing[match[1]] = None
            return ""
        return value

    rendered: dict[str, Any] = _mapped(message, lambda text: _PLACE.sub(fill, text) if "{{" in text else text)
    if missing:
        raise Missing(list(missing))
    return rendered


def check(message: dict[str, Any], pointer: str = "/message") -> None:
    """Raises Problem ``invalid_request`` for what is no message, whatever the values will be."""
    if wrong := [name for name in NOT_HERE if name in message]:
        raise Problem("invalid_request", errors=[_unknown(f"{pointer}/{name}") for name in wrong])
    if not isinstance(message.get("type", ""), str):
        raise invalid(f"{pointer}/type", "invalid", "A type is a text.")
    if message.get("type") in NOT_FOR_MANY:
        raise invalid(f"{pointer}/type", "not_for_many", "A message of this type is about another message.")
    for place, text in _leaves(message):
        if place.endswith("/data"):
            words = "A file for many is named by its id or a link: see POST /api/media."
            raise invalid(f"{pointer}{place}", "data_for_many", words)
        if "{{" in _PLACE.sub("", text):
            words = "A variable is written {{name}} or {{name|default}}, with a-z, 0-9 and _ in its name."
            raise invalid(f"{pointer}{place}", "invalid_variable", words)
    if len(variables(message)) > MAX_VARIABLES:
        raise invalid(pointer, "too_many_variables", f"A message has at most {MAX_VARIABLES} variables.")
    if sum(len(_places(text)) for _, text in _leaves(message)) > MAX_PLACES:
        words = f"A message names its variables at most {MAX_PLACES} times."
        raise invalid(pointer, "too_many_variables", words)
    refusals = []
    for sample in _SAMPLES:
        try:
            values = {name: sample.format(place) for place, name in enumerate(variables(message))}
            outgoing(render(message, values), instance=SOME_INSTANCE, to=_SOMEBODY)
            return
        except Problem as problem:
            refusals.append(problem)
    errors = [error._replace(pointer=f"{pointer}{error.pointer}") for error in refusals[0].errors]
    raise Problem(refusals[0].code, refusals[0].detail, errors=errors)


def _unknown(pointer: str) -> FieldError:
    return FieldError(pointer, "unknown_field", "This is not part of the message.")


def outgoing(rendered: dict[str, Any], *, instance: str, to: str) -> Outgoing:
    """The message as one that is sent. Raises Problem like a send would."""
    return payload.parse(orjson.dumps(rendered | {"instance": instance, "to": to}))


def preview(message: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The message for these values. Raises Problem ``invalid_request``, as it would be for a recipient."""
    if unknown := values.keys() - variables(message).keys():
        words = "The message has no such variable."
        pointers = [f"/variables/{escaped(name)}" for name in sorted(unknown)]
        errors = [FieldError(pointer, "unknown_variable", words) for pointer in pointers]
        raise Problem("invalid_request", errors=errors)
    try:
        rendered = render(message, values)
    except Missing as error:
        words = "This variable has no default."
        errors = [FieldError(f"/variables/{name}", "missing_variable", words) for name in error.names]
        raise Problem("invalid_request", str(error), errors=errors) from error
    outgoing(rendered, instance=SOME_INSTANCE, to=_SOMEBODY)
    return rendered
