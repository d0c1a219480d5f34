from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.core.mail import EmailMessage
from pytest_django import Settings

from accounts import mail
from config.variables import Rate


@pytest.fixture(autouse=True)
def _no_limits(settings: Settings) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, Rate(10**9, 60))


@pytest.fixture
def delivered(mailoutbox: list[EmailMessage]) -> Callable[[], list[EmailMessage]]:
    """Sends what is due; the e-mails since the last call."""

    def send() -> list[EmailMessage]:
        mailoutbox.clear()
        for mail_id in mail.due():
            mail.send(mail_id=mail_id)
        return list(mailoutbox)

    return send


def token_in(message: EmailMessage) -> str:
    """What the link of an e-mail carries."""
    found = re.search(r"http://\S+/account/[a-z-]+\?token=(\S+)", str(message.body))
    assert found, message.body
    return found[1].replace("%3A", ":")
