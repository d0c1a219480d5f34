"""Tells an organization of one of its endpoints: by an event, and by e-mail to the owners and admins."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from accounts import mail
from accounts.mail import Text
from accounts.models import Mail
from accounts.selectors import managers
from config.timestamps import iso
from webhooks import events
from webhooks.models import Endpoint, Event
from webhooks.states import standing

_SUBJECTS = {
    "webhook.failing": "The webhook endpoint at {host} fails",
    "webhook.recovered": "The webhook endpoint at {host} answers again",
    "webhook.disabled": "The webhook endpoint at {host} is disabled",
}
_TEXT = """{organization} has a webhook endpoint at {host}:

{webhook} {description}

{sentence}
"""
_SENTENCES = {
    "webhook.failing": """No attempt has succeeded since {since}. Deliveries are tried again meanwhile.
If nothing succeeds, the endpoint is disabled at {disables_at}.""",
    "webhook.recovered": "An attempt succeeded. What failed for good in between can be recovered.",
    "webhook.disabled": """{reason_text} Nothing is delivered to it any more.
{advice}""",
}


def tell(endpoint: Endpoint, type_: str, *, disables_at: datetime | None = None) -> None:
    """Write the event, and the e-mails that tell of it, in the caller's transaction. Other endpoints get the event.

    What it holds may be read by everybody with the scope ``read``, so of the URL it has the host alone.
    """
    data = _data(endpoint) | {"disables_at": iso(disables_at)}
    (event,) = events.append([events.Draft(endpoint.organization_id, None, endpoint.network, type_, data)])
    for address in managers(endpoint.organization_id):
        mail.post(kind=kind(type_), to=address, subject_id=event.id)


def kind(type_: str) -> str:
    """The kind of the e-mail that tells of an event."""
    return type_.replace(".", "_")


def _data(endpoint: Endpoint) -> dict[str, str | None]:
    found = standing(endpoint)
    return {
        "webhook": endpoint.id,
        "host": host(endpoint.url),
        "description": endpoint.description,
        "state": found.state.value,
        "reason": found.reason,
        "reason_text": found.words.sentence if found.words else None,
        "advice": found.words.advice if found.words else None,
        "since": iso(found.since),
    }


def host(url: str) -> str:
    """What is told of a URL beyond its owner: path and query are often secrets of the receiver."""
    return urlsplit(url).netloc


def text(letter: Mail) -> Text | None:
    """The e-mail of an event; None if the event is kept no more."""
    event = Event.objects.select_related("organization").filter(pk=letter.subject_id).first()
    if event is None:
        return None
    words = event.data | {"organization": event.organization.name}
    words["sentence"] = _SENTENCES[event.type].format(**words)
    return Text(_SUBJECTS[event.type].format(**words), _TEXT.format(**words))


# What accounts.mail is to know, by kind.
TEXTS = {kind(type_): text for type_ in _SUBJECTS}
