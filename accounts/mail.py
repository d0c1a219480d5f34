"""E-mails: a row in the transaction of what they tell, sent by a task after the commit, at least once.

Who gets what is looked up when it is sent, so a request for an e-mail takes the same time and gives the same answer
whether the address is known or not.
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import NamedTuple
from urllib.parse import urlencode

import structlog
from celery import current_app
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone

from accounts import email_tokens
from accounts.models import Invitation, Mail, User

log = structlog.get_logger(__name__)

# Minutes from each attempt to the next; after the last one it is given up.
RETRY_MINUTES = (1, 5, 15, 60, 240, 720)
KEPT = timedelta(days=30)
_AGAIN_AFTER = timedelta(minutes=1)  # the same to the same address; whoever asks more often gets one


class Text(NamedTuple):
    subject: str
    body: str


# Kinds of e-mails of higher floors, which register here: each makes the text, or None if there is nothing to tell.
texts: dict[str, Callable[[Mail], Text | None]] = {}


def post(*, kind: str, to: str, subject_id: str = "") -> None:
    """Have an e-mail sent once the caller's transaction is committed; ``subject_id`` is what it is about."""
    mail = Mail.objects.create(kind=kind, to=to, subject_id=subject_id)
    wake_up = partial(current_app.send_task, "accounts.tasks.send_mail", (mail.pk,))
    transaction.on_commit(wake_up, robust=True)  # the sweeper finds what a lost wake-up leaves


def send(*, mail_id: str) -> bool:
    """Try to send an e-mail that is due; True if this call did. Safe to call again and at the same time."""
    now = timezone.now()
    mail = Mail.objects.filter(pk=mail_id, next_attempt_at__lte=now).first()
    if mail is None:
        return False
    more = mail.attempts < len(RETRY_MINUTES)
    again_at = now + timedelta(minutes=RETRY_MINUTES[mail.attempts]) if more else None
    mine = Mail.objects.filter(pk=mail.pk, attempts=mail.attempts, next_attempt_at__isnull=False)
    if not mine.update(attempts=F("attempts") + 1, next_attempt_at=again_at):
        return False
    text = None if _just_sent(mail) else _text(mail)
    if text is not None:
        try:
            EmailMessage(" ".join(text.subject.split()), text.body, to=[mail.to]).send()
        except (smtplib.SMTPException, OSError) as error:
            log.warning("e-mail not sent", kind=mail.kind, mail=mail.pk, reason=type(error).__name__, again=more)
            return False
    Mail.objects.filter(pk=mail.pk).update(next_attempt_at=None, sent_at=timezone.now() if text else None)
    return text is not None


def due(limit: int = 100) -> list[str]:
    """Ids of e-mails that should have been sent by now."""
    rows = Mail.objects.filter(next_attempt_at__lte=timezone.now()).order_by("next_attempt_at")
    return list(rows.values_list("pk", flat=True)[:limit])


def _just_sent(mail: Mail) -> bool:
    same = Mail.objects.filter(kind=mail.kind, to=mail.to, subject_id=mail.subject_id).exclude(pk=mail.pk)
    return same.filter(sent_at__gt=timezone.now() - _AGAIN_AFTER).exists()


def _text(mail: Mail) -> Text | None:
    """Subject and body; None if there is nobody or nothing to tell any more."""
    if mail.kind in texts:
        return texts[mail.kind](mail)
    if mail.kind == Mail.Kind.INVITATION:
        return _invitation(mail)
    people = User.objects.filter(is_active=True)
    if mail.kind == Mail.Kind.PASSWORD_RESET:
        user = people.filter(email=mail.to).first()
        link = _link("reset-password", email_tokens.for_reset(user)) if user else ""
        return _rendered(mail, user=user, link=link) if user else None
    if mail.kind == Mail.Kind.VERIFY_EMAIL:
        return _verification(mail)
    user = people.filter(pk=mail.subject_id).first()
    return _rendered(mail, user=user) if user else None


def _verification(mail: Mail) -> Text | None:
    """For whoever waits for this address; it may have been taken by somebody else, who is told."""
    user = User.objects.filter(pk=mail.subject_id).first() if mail.subject_id else None
    user = user or User.objects.filter(email=mail.to).first()
    if user is None or not user.is_active or (user.email == mail.to and user.email_verified_at):
        return None
    if user.email != mail.to and User.objects.filter(email=mail.to).exists():
        return _rendered(mail, template="address_in_use")
    return _rendered(mail, user=user, link=_link("verify-email", email_tokens.for_address(user, mail.to)))


def _invitation(mail: Mail) -> Text | None:
    invitation = Invitation.objects.pending().filter(pk=mail.subject_id).select_related("organization").first()
    if invitation is None:
        return None
    link = _link("accept-invitation", email_tokens.for_invitation(invitation))
    return _rendered(mail, invitation=invitation, link=link)


def _rendered(mail: Mail, template: str = "", **context: object) -> Text:
    text = render_to_string(f"accounts/mail/{template or mail.kind}.txt", {"mail": mail, **context})
    subject, _, body = text.partition("\n")
    return Text(subject, body.lstrip("\n"))


def _link(page: str, token: str) -> str:
    return f"{settings.PUBLIC_URL}/account/{page}?{urlencode({'token': token})}"
