"""Questions over a connection that the library has forgotten, in a process of their own: some would end it."""

from __future__ import annotations

import os
import subprocess
import sys

from django.conf import settings

ASK = """
from instances.whatsapp.account import Account
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import Jid

carla, account = Jid("15550100002"), Account(b"nobody", lambda: False)
for ask in (
    account.names,
    lambda: account.set_name("Acme"),
    lambda: account.set_about("Open"),
    lambda: account.set_picture(b"jpeg"),
    account.privacy,
    lambda: account.set_privacy("online", "all"),
    lambda: account.set_disappearing(0),
    lambda: account.contact_link(revoke=False),
    account.blocked,
    lambda: account.block(carla, blocked=True),
    lambda: account.user_info(carla),
    lambda: account.picture(carla, preview=True),
    lambda: account.watch_presence(carla),
    lambda: account.resolve_link("X"),
):
    try:
        ask()
    except SendFailed as error:
        print(error)
"""


def test_a_connection_that_is_gone_is_refused_before_the_library_is_asked() -> None:
    environ = os.environ | {"NEONIZE_BOT_TAG": "off", "PYTHONPATH": str(settings.BASE_DIR)}
    done = subprocess.run([sys.executable, "-c", ASK], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["client is nil"] * 14
