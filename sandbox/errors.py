"""Refusals of the control API: each has a machine-readable code and an HTTP status."""

from __future__ import annotations

from typing import ClassVar


class ControlError(Exception):
    """What the caller asked for cannot be done; `str` says why, in one line."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_arguments"


class BadArguments(ControlError):
    """Wrong names, types or values."""


class QrInvalid(ControlError):
    code = "qr_invalid"


class MethodNotFound(ControlError):
    status, code = 404, "method_not_found"


class PhoneNotFound(ControlError):
    status, code = 404, "phone_not_found"


class DeviceNotFound(ControlError):
    status, code = 404, "device_not_found"


class MessageNotFound(ControlError):
    status, code = 404, "message_not_found"


class CallNotFound(ControlError):
    status, code = 404, "call_not_found"


class GroupNotFound(ControlError):
    """No group or newsletter of this name."""

    status, code = 404, "group_not_found"


class TooLarge(ControlError):
    status, code = 413, "too_large"


class NotOnWhatsApp(ControlError):
    """The recipient does not exist in the realm of the sender."""

    status, code = 404, "not_on_whatsapp"


class PhoneTaken(ControlError):
    status, code = 409, "phone_taken"


class QrExpired(ControlError):
    status, code = 409, "qr_expired"


class NoPairing(ControlError):
    """No client waits for a code of this number, or it went away."""

    status, code = 409, "no_pairing"


class WrongCode(ControlError):
    status, code = 409, "wrong_code"
