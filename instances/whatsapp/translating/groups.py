from __future__ import annotations

from typing import Any

from instances.whatsapp.news import GroupInfo
from instances.whatsapp.translating.values import both, jid_of, text


def group_of(info: Any) -> GroupInfo:
    """neonize.GroupInfo in our own words."""
    members = []
    for one in info.Participants:
        jid, other = jid_of(one.JID), jid_of(one.PhoneNumber if one.PhoneNumber.User else one.LID)
        members.append((both(jid, other), one.IsAdmin or one.IsSuperAdmin))
    return GroupInfo(text(info.GroupName.Name, 200), tuple(members))
