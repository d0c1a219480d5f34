"""The states of an instance and the reasons for them, as data. docs/instances.md is drawn from this file."""

from __future__ import annotations

from typing import NamedTuple

from django.db import models


class State(models.TextChoices):
    CREATED = "created"
    LINKING = "linking"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"
    LOGGED_OUT = "logged_out"
    REPLACED = "replaced"
    BANNED = "banned"
    OUTDATED = "outdated"
    FAILED = "failed"


class Wanted(models.TextChoices):
    """What the user asked for; session workers make it so."""

    CONNECTED = "connected"
    STOPPED = "stopped"
    LOGGED_OUT = "logged_out"


# Wishes that a session worker has to fulfil; a number whose link is to be removed must be online for it.
FOR_WORKERS = (Wanted.CONNECTED, Wanted.LOGGED_OUT)

# What a state is, for the docs.
SENTENCES: dict[str, str] = {
    State.CREATED: "It was never linked.",
    State.LINKING: "It waits for a phone to scan a QR code or to take a pairing code.",
    State.CONNECTING: "It is linked and logs in.",
    State.CONNECTED: "It is online: it sends and receives.",
    State.RECONNECTING: "It lost the connection and tries again by itself.",
    State.STOPPED: "It is offline until somebody calls connect.",
    State.LOGGED_OUT: "The link is gone; its messages are kept. Connect links it again.",
    State.REPLACED: "Another client uses the same link.",
    State.BANNED: "WhatsApp has banned the number until `banned_until`.",
    State.OUTDATED: "WhatsApp wants a newer client library.",
    State.FAILED: "WhatsApp refuses the login.",
}

# A worker that meets one of these leaves the number alone until somebody calls connect.
ENDED = frozenset({State.LOGGED_OUT, State.REPLACED, State.BANNED, State.OUTDATED, State.FAILED})

_ANY_END = {State.STOPPED, *ENDED}
TRANSITIONS: dict[str, frozenset[str]] = {
    State.CREATED: frozenset({State.LINKING, State.RECONNECTING, State.STOPPED}),
    State.LINKING: frozenset({State.CONNECTING, State.RECONNECTING, *_ANY_END}),
    State.CONNECTING: frozenset({State.CONNECTED, State.RECONNECTING, *_ANY_END}),
    State.CONNECTED: frozenset({State.RECONNECTING, State.CONNECTING, *_ANY_END}),
    State.RECONNECTING: frozenset({State.CONNECTED, State.CONNECTING, State.LINKING, *_ANY_END}),
    State.STOPPED: frozenset({State.LINKING, State.CONNECTING, State.RECONNECTING, State.LOGGED_OUT}),
    **{end: frozenset({State.LINKING, State.CONNECTING, State.RECONNECTING, State.STOPPED}) for end in sorted(ENDED)},
}


class Reason(NamedTuple):
    """A sentence for humans and what they can do about it."""

    sentence: str
    advice: str


REASONS: dict[str, Reason] = {
    "new": Reason("The instance was created.", "Call connect to link a number."),
    "waiting_for_worker": Reason("A session worker will take the instance up.", "Wait a few seconds."),
    "waiting_for_scan": Reason("A QR code waits to be scanned.", "Scan it in WhatsApp under Linked devices."),
    "link_timeout": Reason("Nobody scanned the QR code in time.", "Call connect for a new one."),
    "link_failed": Reason("WhatsApp did not complete the link.", "Call connect to try again."),
    "link_cancelled": Reason("The link was cancelled.", "Call connect to try again."),
    "number_in_use": Reason(
        "The number is linked to another instance of yours, named in the detail; the new link was removed.",
        "Use that instance, or log it out first.",
    ),
    "number_taken": Reason(
        "The number is linked elsewhere on this platform; the new link was removed.",
        "Log it out there first, or remove that link on the phone under Linked devices.",
    ),
    "linked": Reason("The number was linked.", "Wait a few seconds."),
    "online": Reason("The number is online.", ""),
    "network_unreachable": Reason("WhatsApp cannot be reached from here.", "Check the network; it is tried again."),
    "proxy_unreachable": Reason(
        "WhatsApp cannot be reached through the proxy.", "Check the setting `proxy`; it is tried again."
    ),
    "connection_lost": Reason("The connection was lost.", "Nothing: it is tried again."),
    "worker_lost": Reason("The session worker went away.", "Nothing: another one takes over."),
    "no_answer": Reason("WhatsApp did not answer any more.", "Nothing: the number is connected anew."),
    "quarantined": Reason(
        "Connecting the number ended its session worker, several times.",
        "Nothing: it is tried again alone, after the time in the detail. If it comes back, link the number anew.",
    ),
    "restarted": Reason("The instance was restarted.", "Wait a few seconds."),
    "stopped_by_user": Reason("The instance was stopped.", "Call connect to start it."),
    "organization_suspended": Reason(
        "The organization is suspended.", "Nothing: the instance is connected again when the suspension ends."
    ),
    "logging_out": Reason("The link is being removed.", "Wait a few seconds."),
    "logged_out_by_user": Reason("The instance was logged out.", "Call connect and scan again."),
    "link_left": Reason(
        "The instance was logged out and its keys are deleted, but WhatsApp could not be told.",
        "Remove the link on the phone under Linked devices. Call connect to link again.",
    ),
    "deleted": Reason("The instance is being deleted.", ""),
    "unlinked": Reason("The link was removed on the phone.", "Call connect and scan again."),
    "key_store_unreachable": Reason(
        "The store that has the number's keys cannot be reached.", "Nothing: it is tried again."
    ),
    "store_lost": Reason("The session's keys are not in the store any more.", "Call connect and scan again."),
    "used_elsewhere": Reason("Another client took over this link.", "Stop that client, then call connect."),
    "temporary_ban": Reason("WhatsApp has banned the number for some time.", "Wait for the end, then call connect."),
    "client_outdated": Reason("WhatsApp refuses this version of the client.", "Upgrade the server."),
    "refused": Reason("WhatsApp refused the login.", "See the detail, then call connect."),
    "engine_error": Reason("The WhatsApp engine failed.", "Nothing: it is tried again."),
}
