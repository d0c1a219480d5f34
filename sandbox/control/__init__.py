"""Remote control of the network: phones, messages, misbehaviour.

Every public method is `POST /control/NAME`; its keyword arguments are the JSON object of the
request and its result is the JSON answer.  Refusals are ControlErrors.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from sandbox.errors import BadArguments, MethodNotFound

from .chats import ChatMethods
from .messages import MAX_INLINE, MAX_TEXT, MessageMethods
from .misbehaviour import MisbehaviourMethods
from .phones import PhoneMethods
from .profiles import ProfileMethods

__all__ = ["MAX_INLINE", "MAX_TEXT", "Control", "dispatch"]


class Control(PhoneMethods, ProfileMethods, MessageMethods, ChatMethods, MisbehaviourMethods):
    """All methods."""


def _arguments(method: Callable[..., Any]) -> Any:
    """A type that takes exactly the method's keyword arguments."""
    hints, fields = get_type_hints(method, include_extras=True), []
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            return dict[str, Any]
        default = () if parameter.default is parameter.empty else (parameter.default,)
        fields.append((name, hints[name], *default))
    return msgspec.defstruct(method.__name__, fields, kw_only=True, forbid_unknown_fields=True)


_METHODS: dict[str, tuple[Callable[..., Any], Any]] = {
    name: (method, _arguments(method))
    for name, method in inspect.getmembers(Control, inspect.isfunction)
    if not name.startswith("_")
}


async def dispatch(control: Control, name: str, arguments: bytes) -> Any:
    """Run the method of that name with a JSON object of arguments.  Raises ControlError."""
    known = _METHODS.get(name)
    if known is None:
        raise MethodNotFound(f"no method {name}")
    method, type_ = known
    try:
        checked = msgspec.json.decode(arguments or b"{}", type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise BadArguments(str(e)) from e
    result = method(control, **(checked if isinstance(checked, dict) else msgspec.structs.asdict(checked)))
    return await result if inspect.isawaitable(result) else result
