"""What users set for one instance. Stored is what differs from the defaults of the network; `of` fills in the rest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec
import orjson
import structlog
from msgspec import UNSET, Meta, UnsetType

from config.api.problems import invalid
from config.api.serializers import NOT_BLANK
from config.api.structs import not_valid, with_whole_numbers
from instances import proxies

if TYPE_CHECKING:
    from instances.models import Instance

log = structlog.get_logger(__name__)
_Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
_Clock = Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])]
MediaType = Literal["image", "video", "audio", "document", "sticker"]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class QuietHours(_Part, frozen=True):
    """Nothing leaves from one time of the day to another, on the clocks of a time zone; it may be over midnight."""

    start: _Clock = msgspec.field(name="from")
    end: _Clock = msgspec.field(name="to")
    timezone: Annotated[str, Meta(max_length=60, examples=["Europe/Berlin"])]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Pacing(_Part, frozen=True):
    """How fast messages follow one another."""

    min_gap_ms: Annotated[_Milliseconds, Meta(description="Least time between two messages.")] = 0
    jitter_ms: Annotated[_Milliseconds, Meta(description="Up to so much more, at random.")] = 0
    new_contacts_per_day: Annotated[
        int, Meta(ge=0, le=100_000, description="To how many people never written with before; 0: no limit.")
    ] = 0
    quiet_hours: QuietHours | None = None


class Typing(_Part, frozen=True):
    """Whether the recipient sees the number type before a message, for as long as its text takes."""

    simulate: bool = False
    characters_per_second: Annotated[float, Meta(ge=1, le=1000)] = 20.0
    max_seconds: Annotated[float, Meta(ge=0, le=60)] = 5.0


class MediaPolicy(_Part, frozen=True):
    """Which received files are fetched."""

    download: Literal["all", "none"] | list[MediaType] = "all"
    max_bytes: Annotated[int, Meta(ge=0, le=2**31)] = 100 * 1024 * 1024


class Receive(_Part, frozen=True):
    """What is kept of what arrives."""

    groups: bool = True
    status: bool = True
    channels: bool = True
    typing: Annotated[bool, Meta(description="Whether it is told that others type; from the next connect on.")] = True
    raw: Annotated[bool, Meta(description="Whether the protobuf is kept, to be read with `raw=true`.")] = True


class History(_Part, frozen=True):
    """What is taken over of earlier conversations when a number is linked."""

    days: Annotated[int, Meta(ge=0, le=3650, description="How far back; 0: nothing.")] = 90
    max_messages: Annotated[int, Meta(ge=0, le=1_000_000, description="The newest so many of each chat.")] = 1000
    events: Annotated[bool, Meta(description="Whether each message of it is told as an event.")] = False


class Calls(_Part, frozen=True):
    """What is done about calls, which cannot be answered here."""

    reject: Annotated[bool, Meta(description="Whether they are rejected at once.")] = False
    text: Annotated[
        Annotated[str, Meta(min_length=1, max_length=1024, pattern=NOT_BLANK)] | None,
        Meta(description="What whoever called is written then: once in ten minutes, and not for group calls."),
    ] = None


class ColdContacts(_Part, frozen=True):
    """What happens when WhatsApp refuses messages to people who never wrote to the number."""

    first_hold_seconds: Annotated[int, Meta(ge=1, le=604_800)] = 3600
    longest_hold_seconds: Annotated[int, Meta(ge=1, le=604_800)] = 86_400
    keep_days: Annotated[float, Meta(gt=0, le=30, description="How long a message is held before it fails.")] = 7


class Settings(_Part, frozen=True):
    device_name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=50,
            pattern=NOT_BLANK,
            description="How the link is called on the phone, under Linked devices; from the next link on.",
        ),
    ] = "WhatsApp API"
    mark_online: Annotated[
        bool, Meta(description="Show the number as online while it is connected; its phone then gets no notifications.")
    ] = False
    pacing: Pacing = Pacing()
    typing: Typing = Typing()
    media: MediaPolicy = MediaPolicy()
    receive: Receive = Receive()
    history: History = History()
    calls: Calls = Calls()
    cold_contacts: ColdContacts = ColdContacts()
    check_recipients: Annotated[
        bool, Meta(description="Ask WhatsApp, before the first message to a phone number, whether it is there.")
    ] = True
    client_ref_unique: Annotated[bool, Meta(description="Refuse a second message with the same `client_ref`.")] = False
    resend_unconfirmed: Annotated[
        bool, Meta(description="Send again what WhatsApp did not confirm, although it may arrive twice.")
    ] = False


class AllSettings(Settings, frozen=True):
    """With the one that is stored apart, encrypted."""

    proxy: Annotated[
        Annotated[str, Meta(max_length=proxies.MAX_LENGTH, pattern=proxies.PATTERN)] | None,
        Meta(description="What the number connects through: `socks5://` or `http://`, shown without its password."),
    ] = None


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


DEFAULTS: Mapping[str, Settings] = {
    "sandbox": Settings(),
    "whatsapp": Settings(
        pacing=Pacing(min_gap_ms=1000, jitter_ms=2000, new_contacts_per_day=250), typing=Typing(simulate=True)
    ),
}
_BUILTINS = {network: msgspec.to_builtins(settings) for network, settings in DEFAULTS.items()}


def merged(old: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396): objects are merged, null takes a value away."""
    result = dict(old)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            before = result.get(name)
            result[name] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[name] = value
    return {name: value for name, value in result.items() if value != {}}


def changed(network: str, stored: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be stored after a change by its user, but for the proxy.

    Raises Problem ``invalid_request`` with pointers.
    """
    change = with_whole_numbers(change)
    result = merged(stored, {name: value for name, value in change.items() if name != "proxy"})
    try:
        msgspec.convert(change, SettingsChange, strict=True)
        _check_quiet_hours(change)
        msgspec.convert(merged(_BUILTINS[network], result), Settings, strict=True)
    except msgspec.ValidationError as error:
        raise not_valid(error, "/settings") from error
    return result


def _check_quiet_hours(change: Mapping[str, Any]) -> None:
    hours = (change.get("pacing") or {}).get("quiet_hours")
    where = "/settings/pacing/quiet_hours"
    if hours and hours["timezone"] not in _timezones():
        raise invalid(f"{where}/timezone", "unknown_timezone", "This is not a time zone such as Europe/Berlin.")
    if hours and hours["from"] == hours["to"]:
        raise invalid(where, "same_times", "The hours must begin and end at different times.")


@lru_cache(maxsize=4096)
def _filled(network: str, stored: bytes) -> Settings:
    try:
        settings = msgspec.convert(merged(_BUILTINS[network], orjson.loads(stored)), Settings, strict=True)
        if settings.pacing.quiet_hours is not None:
            ZoneInfo(settings.pacing.quiet_hours.timezone)
        return settings
    except (msgspec.ValidationError, ZoneInfoNotFoundError) as error:  # of another version, on another machine
        log.error("settings_not_valid", error=str(error))
        return DEFAULTS[network]


def of(instance: Instance) -> Settings:
    """The settings of an instance, with the defaults of its network filled in."""
    if not instance.settings:
        return DEFAULTS[instance.network]
    return _filled(instance.network, orjson.dumps(instance.settings, option=orjson.OPT_SORT_KEYS))


def shown(instance: Instance) -> dict[str, Any]:
    """As clients see them."""
    data: dict[str, Any] = msgspec.to_builtins(of(instance))
    return data | {"proxy": proxies.masked(instance.proxy)}


def _partial(struct: type[msgspec.Struct]) -> Any:
    """The same fields, none of which must be there, and all of which may be null."""
    fields: list[tuple[str, Any, Any]] = []
    for one in msgspec.structs.fields(struct):
        part = isinstance(one.type, type) and issubclass(one.type, msgspec.Struct)
        kind = _partial(one.type) if part else one.type
        fields.append((one.encode_name, kind | None | UnsetType, UNSET))
    return msgspec.defstruct(f"{struct.__name__}Change", fields, forbid_unknown_fields=True, kw_only=True)


SettingsChange: Any = _partial(AllSettings)
