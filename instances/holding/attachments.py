"""What higher floors hang onto a held number, such as messaging's lane.

They name their module here at start-up; a session worker imports it when it begins to hold, so that no
other process loads the client library. On import the module adds to `attach` and to the writer's `handlers`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from instances.models import Instance
    from instances.whatsapp.account import Account
    from instances.whatsapp.files import Place
    from instances.whatsapp.jids import Jid
    from instances.whatsapp.news import GroupInfo, News, Sent
    from instances.whatsapp.people import Registration
    from instances.whatsapp.store import Store
    from webhooks.events import Draft


class Held(Protocol):
    """A number as an attachment sees it."""

    instance_id: str
    network: str
    store: Store

    def write(self, value: Any, *, urgent: bool = True) -> Future[Any]:
        """Have the worker's writer write a value for this number; see Writer.submit."""

    def send(self, to: Jid, message: Any) -> Sent:
        """Send now and wait for the acknowledgement. Raises SendFailed."""

    def group(self, jid: Jid) -> GroupInfo:
        """Who is in a group; asks WhatsApp. Raises SendFailed."""

    def mark_read(self, chat: Jid, sender: Jid, wa_ids: Sequence[str], at: datetime) -> None:
        """Tell WhatsApp that messages of one sender in a chat were read. Raises SendFailed."""

    def chat_presence(self, chat: Jid, state: str) -> None:
        """Show the chat that we are ``composing`` or ``recording``, or have ``paused``. Raises SendFailed."""

    def reject_call(self, caller: Jid, wa_id: str) -> None:
        """Reject a call that rings, by the JID of its caller that the offer had. Raises SendFailed."""

    def status_privacy(self) -> str:
        """Who gets status posts: ``contacts``, ``blacklist`` or ``whitelist``. Raises SendFailed."""

    def upload(self, kind: str, path: Path, newsletter: bool) -> Place:
        """Hand a file to WhatsApp's media servers, as a media.models.Kind. Raises SendFailed, FileNotFoundError."""

    def are_on_whatsapp(self, phones: Collection[str]) -> dict[str, Registration | None]:
        """Who each phone number is on WhatsApp, None for one that is not. Raises SendFailed."""

    def presence(self, *, available: bool) -> None:
        """Show that the number is online, or not any more, until the connection ends. Raises SendFailed."""

    def announce(self) -> None:
        """Tell WhatsApp the number's name again, without a change of its presence. Raises SendFailed."""

    @property
    def account(self) -> Account:
        """The number's own profile, and what it may ask of others. Raises SendFailed, as do its methods."""

    @property
    def online(self) -> bool:
        """Whether the number is connected and logged in."""


class Attachment(Protocol):
    def offline(self) -> None:
        """The number is held and not connected; called before each attempt, nothing is sent meanwhile."""

    def online(self) -> None:
        """The number has come online."""

    def seen(self, news: News) -> None:
        """The client library reported something; called before it is written."""

    def wake(self) -> None:
        """There may be something to do. Called from any thread; returns at once."""

    def close(self, deadline: float) -> None:
        """Finish what is in flight until the deadline (monotonic clock), begin nothing new."""


modules: list[str] = []
attach: list[Callable[[Held], Attachment]] = []
# Each says which of the given instances have something to do; asked now and then, for lost wake-ups.
find_work: list[Callable[[list[str]], Iterable[str]]] = []
# Each is told, inside the writer's transaction, that an instance was linked to another number than before.
number_changed: list[Callable[[Instance], list[Draft]]] = []
# What other processes may ask of a held number, by name (instances.commands.call). A command runs on a thread of its
# own, takes and returns JSON values, and may run again or unheard: it must do no harm then. Raises Problem, SendFailed.
commands: dict[str, Callable[[Held, dict[str, Any]], Any]] = {}
