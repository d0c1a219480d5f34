"""What an account shows of itself, and to whom."""

from __future__ import annotations

import secrets

from .model import Account
from .protos import VerifiedNameCertificate

CONTACT_LINK = "https://wa.me/qr/"


def shows(account: Account, setting: str, viewer: Account) -> bool:
    """Whether somebody may see what a privacy setting is about; nobody of those who are blocked may."""
    if viewer is account:
        return True
    value = account.privacy.get(setting, "all")
    if value == "match_last_seen":
        return shows(account, "last", viewer)
    if viewer.lid in account.blocked or value == "none":
        return False
    return value == "all" or viewer.number in account.contacts


def certificate(account: Account) -> bytes:
    """That of a business, without the signature that clients cannot check."""
    details = VerifiedNameCertificate.Details(
        serial=1, issuer="smb:wa", verifiedName=account.business_name, issueTime=int(account.created)
    )
    return bytes(VerifiedNameCertificate(details=details.SerializeToString()).SerializeToString())


def new_contact_code() -> str:
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(14))
