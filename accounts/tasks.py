from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from accounts import mail
from accounts.models import Invitation, Mail, Session

KEEP_ENDED = timedelta(days=30)


@shared_task
def send_mail(mail_id: str) -> None:
    mail.send(mail_id=mail_id)


@shared_task
def sweep_mail() -> None:
    """Send what a lost wake-up or a mail server that was away has left."""
    for mail_id in mail.due():
        mail.send(mail_id=mail_id)


@shared_task
def prune() -> None:
    """Drop what ended long ago: sessions, invitations, e-mails. Until then it answers questions."""
    long_ago = timezone.now() - KEEP_ENDED
    Session.objects.filter(expires_at__lt=long_ago).delete()
    Invitation.objects.filter(expires_at__lt=long_ago).delete()
    Mail.objects.filter(created_at__lt=long_ago, next_attempt_at=None).delete()
