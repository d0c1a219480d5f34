"""Opens what is sealed with the secret of another message: votes, responses, and what announcement groups encrypt.

The library could open it too, but only while the number is connected and its store has the secret under the right
pair of JIDs; the ledger has the secret of each message in its row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import product

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from instances.models import Instance
from instances.whatsapp.jids import PHONE
from instances.whatsapp.news import Sealed
from messaging.models import Contact, Message
from messaging.receiving.people import OWNER, Who, author_of

_NAMED = frozenset({"Poll Vote", "Event Response"})  # their associated data has the id and the sender


def unsealed(sealed: Sealed, target: Message, change: Message, instance: Instance) -> bytes | None:
    """What is inside, or None if the target's secret does not open it.

    Key and associated data name both people by JID, and nobody says whether by phone or by LID: all pairs are tried.
    """
    secret, wa_id = bytes(target.secret), target.wa_id or ""
    for author, sender in product(_jids(author_of(target), instance), _jids(author_of(change), instance)):
        info = f"{wa_id}{author}{sender}{sealed.purpose}".encode()
        key = HKDF(SHA256(), 32, salt=None, info=info).derive(secret)
        data = f"{wa_id}\x00{sender}".encode() if sealed.purpose in _NAMED else None
        try:
            return AESGCM(key).decrypt(sealed.iv, sealed.payload, data)
        except (InvalidTag, ValueError):
            continue
    return None


def _jids(who: Who, instance: Instance) -> list[str]:
    phone, lid = (instance.phone, instance.lid) if who == OWNER else who
    if who != OWNER and (phone is None or lid is None):
        known = Contact.objects.filter(instance=instance, **({"phone": phone} if phone else {"lid": lid})).first()
        if known is not None:
            phone, lid = phone or known.phone, lid or known.lid
    return [jid for jid in (lid, f"{phone}@{PHONE}" if phone else None) if jid]


def chosen(hashes: Iterable[bytes], options: Iterable[str]) -> list[str]:
    """The options of a poll with these SHA-256 hashes, in the order of the poll."""
    wanted = set(hashes)
    return [option for option in options if hashlib.sha256(option.encode()).digest() in wanted]
