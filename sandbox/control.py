"""Remote control of the network: phones, messages, misbehaviour.

Every public method is `POST /control/NAME`; its keyword arguments are the JSON object of the
request and its result is the JSON answer.  Refusals are ControlErrors.
"""

from __future__ import annotations

import base64
import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from .errors import BadArguments, DeviceNotFound, MethodNotFound, PhoneNotFound
from .model import Account, Device, Faults
from .network import Network
from .protos import Message

_NUMBER = re.compile(r"\+?([1-9][0-9]{4,14})")
_CHAT_STATES = ("composing", "paused")
_CONFLICTS = ("replaced", "device_removed")

MAX_TEXT = 65_536  # characters
MAX_IMAGE = 16 << 20  # bytes
MAX_PAGE = 1_000  # messages


class Control:
    """All phone numbers are digits with country code (5 to 15; a leading "+" is dropped)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def _account(self, phone: str) -> Account:
        account = self._network.accounts.get(_digits(phone))
        if account is None:
            raise PhoneNotFound(f"there is no phone {phone}")
        return account

    def _devices(self, phone: str, device: int | None) -> list[Device]:
        """One or all of the linked clients."""
        devices = self._account(phone).devices
        if device is None:
            return [d for d in devices.values() if not d.phone]
        if device not in devices or device == 0:
            raise DeviceNotFound(f"{phone} has no linked device {device}")
        return [devices[device]]

    @staticmethod
    def _about(account: Account) -> dict[str, Any]:
        return {
            "phone": account.number,
            "name": account.name,
            "jid": str(account.pn),
            "lid": str(account.lid),
            "realm": account.realm,
        }

    # --- phones -------------------------------------------------------------------------

    def create_phone(self, phone: str, name: str = "", realm: str = "") -> dict[str, Any]:
        """Idempotent within a realm; a name updates the phone's.  409 phone_taken."""
        number = _digits(phone)
        known = self._network.accounts.get(number)
        return self._about(self._network.create_account(number, name or (known.name if known else number), realm))

    def phones(self, realm: str = "") -> list[dict[str, Any]]:
        """The phones of a realm, oldest first."""
        return [self._about(a) for a in self._network.accounts.values() if a.realm == realm]

    def phone(self, phone: str) -> dict[str, Any]:
        """One phone with its linked devices."""
        account = self._account(phone)
        devices = [{"device": d.number, "connected": d.session is not None} for d in self._devices(phone, None)]
        return self._about(account) | {"devices": devices}

    def scan(self, phone: str, qr: str) -> None:
        """The phone scans the QR code that a client shows.  400 qr_invalid, 409 qr_expired."""
        self._network.pairings.scan(self._account(phone), qr)

    async def enter_code(self, phone: str, code: str) -> None:
        """The phone's user types a pairing code; answers when the client is linked.  409 no_pairing, wrong_code."""
        await self._network.pairings.enter_code(self._account(phone), code)

    # --- messages -----------------------------------------------------------------------

    def send_text(self, phone: str, to: str, text: str) -> dict[str, str]:
        """Write to a phone number, a JID or a group.  404 not_on_whatsapp."""
        if not 0 < len(text) <= MAX_TEXT:
            raise BadArguments(f"a text has 1 to {MAX_TEXT} characters")
        return {"id": self._account(phone).phone.send(to, Message(conversation=text))}

    def send_image(
        self, phone: str, to: str, data: str, caption: str = "", mimetype: str = "image/jpeg"
    ) -> dict[str, str]:
        """`data` is base64.  404 not_on_whatsapp."""
        try:
            image = base64.b64decode(data, validate=True)
        except ValueError as e:
            raise BadArguments("data is not base64") from e
        if not 0 < len(image) <= MAX_IMAGE:
            raise BadArguments(f"an image has 1 to {MAX_IMAGE} bytes")
        return {"id": self._account(phone).phone.send_image(to, image, caption, mimetype)}

    def messages(self, phone: str, after: int = 0, limit: int = 100) -> dict[str, Any]:
        """What the phone has got, oldest first, from behind the seq `after`.  `next` is the `after` of the
        next page, or null at the end."""
        if not 1 <= limit <= MAX_PAGE:
            raise BadArguments(f"limit is 1 to {MAX_PAGE}")
        owner = self._account(phone).phone
        page = [m for seq, m in owner.inbox.items() if seq > after][: limit + 1]
        more = len(page) > limit
        return {"results": [owner.summary(m) for m in page[:limit]], "next": page[limit - 1].seq if more else None}

    def mark_read(self, phone: str, id: str) -> None:
        """Idempotent.  404 message_not_found."""
        self._account(phone).phone.mark_read(id)

    def receipts(self, phone: str) -> list[dict[str, str]]:
        """Receipts for what the phone itself sent, oldest first."""
        receipts = self._account(phone).phone.receipts.values()
        return [{"id": r.id, "type": r.type, "sender": str(r.sender)} for r in receipts]

    def history(self, phone: str, chats: dict[str, list[str]]) -> None:
        """Send past conversations (number -> texts) to the account's linked clients."""
        for device in self._devices(phone, None):
            device.account.phone.send_history(device, chats)

    # --- signs of life ------------------------------------------------------------------

    def typing(self, phone: str, to: str, state: str = "composing") -> None:
        if state not in _CHAT_STATES:
            raise BadArguments(f"state is one of {', '.join(_CHAT_STATES)}")
        self._account(phone).phone.typing(to, state)

    def presence(self, phone: str, online: bool) -> None:
        self._network.set_presence(self._account(phone).phone.device, online)

    def call(self, phone: str, to: str) -> dict[str, str]:
        """Ring; nobody can answer."""
        return {"id": self._account(phone).phone.call(to)}

    # --- misbehaviour -------------------------------------------------------------------

    def drop(self, phone: str, device: int | None = None) -> int:
        """Cut the connections of linked clients; returns how many."""
        cut = [d.session for d in self._devices(phone, device) if d.session]
        for session in cut:
            session.abort()
        return len(cut)

    def stream_error(
        self, phone: str, device: int | None = None, code: int | None = None, conflict: str | None = None
    ) -> None:
        """End the sessions with a <stream:error>."""
        if conflict is not None and conflict not in _CONFLICTS:
            raise BadArguments(f"conflict is one of {', '.join(_CONFLICTS)}")
        for d in self._devices(phone, device):
            self._network.stream_error(d, code, conflict)

    def logout(self, phone: str, device: int | None = None) -> None:
        """The phone's user removes linked devices."""
        for d in self._devices(phone, device):
            self._network.remove_device(d)

    def faults(self, phone: str = "", **values: Any) -> dict[str, Any]:
        """Change faults of an account, or of the whole network without `phone`; returns all of them."""
        if not isinstance(phone, str):
            raise BadArguments("phone is a string")
        account = self._account(phone) if phone else None
        faults = account.faults if account else self._network.faults
        names = {f.name for f in dataclasses.fields(Faults)}
        if unknown := values.keys() - names:
            raise BadArguments(f"no fault {', '.join(sorted(unknown))}")
        try:
            checked = msgspec.convert(values, Faults)
        except msgspec.ValidationError as e:
            raise BadArguments(str(e)) from e
        for name in values:
            setattr(faults, name, getattr(checked, name))
        if account:
            self._network.save_account(account)
        return dataclasses.asdict(faults)

    def media_error(self, status: int) -> None:
        """Answer every upload and download with this HTTP status; 0 ends it."""
        if status and not 400 <= status <= 599:
            raise BadArguments("status is 0 or 400 to 599")
        self._network.media.error = status

    def state(self) -> dict[str, Any]:
        """What the network holds, for tests and the curious."""
        net = self._network
        return {
            "messages": net.messages,
            "sessions": len(net.sessions),
            "groups": {str(g.jid): g.subject for g in net.groups.values()},
            "accounts": {
                a.number: {str(d.number): _device(d) for d in a.devices.values()} for a in net.accounts.values()
            },
        }


def _device(d: Device) -> dict[str, Any]:
    about = {"connected": d.session is not None, "active": d.active, "online": d.online}
    return about | {"queued": len(d.queue), "prekeys": len(d.prekeys)}


def _digits(phone: str) -> str:
    match = _NUMBER.fullmatch(phone)
    if match is None:
        raise BadArguments("a phone number has 5 to 15 digits and starts with the country code")
    return match[1]


def _arguments(method: Callable[..., Any]) -> Any:
    """A type that takes exactly the method's keyword arguments."""
    hints, fields = get_type_hints(method), []
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD:
            return dict[str, Any]
        default = () if parameter.default is parameter.empty else (parameter.default,)
        fields.append((name, hints[name], *default))
    return msgspec.defstruct(method.__name__, fields, kw_only=True, forbid_unknown_fields=True)


_METHODS: dict[str, tuple[Callable[..., Any], Any]] = {
    name: (method, _arguments(method)) for name, method in vars(Control).items() if not name.startswith("_")
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
