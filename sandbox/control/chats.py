"""Groups and newsletters."""

from __future__ import annotations

from typing import Any, Literal

from sandbox import groups
from sandbox.contents import describe
from sandbox.errors import BadArguments, GroupNotFound
from sandbox.newsletters import Post
from sandbox.protos import Message

from .base import Methods


class ChatMethods(Methods):
    def create_group(self, phone: str, subject: str, members: list[str]) -> dict[str, str]:
        """The phone's user makes a group.  404 phone_not_found."""
        owner = self._account(phone)
        group = groups.create(self._network, owner.phone.device, subject, self._neighbours(owner, members))
        return {"jid": str(group.jid), "invite": group.invite}

    def change_members(
        self, phone: str, group: str, action: Literal["add", "remove", "promote", "demote"], members: list[str]
    ) -> None:
        """The phone's user must be an admin of the group.  404 group_not_found, phone_not_found."""
        author, found = self._account(phone), self._group(group)
        if found.members.get(author) is None:
            raise BadArguments(f"{phone} is no admin of the group")
        groups.change_members(self._network, author.phone.device, found, action, self._neighbours(author, members))

    def group(self, group: str) -> dict[str, Any]:
        """404 group_not_found."""
        found = self._group(group)
        members = [{"phone": a.number, "lid": str(a.lid), "role": role} for a, role in found.members.items()]
        about = {"jid": str(found.jid), "subject": found.subject, "invite": found.invite}
        return about | {"ephemeral": found.ephemeral, "members": members}

    def create_newsletter(self, phone: str, name: str, description: str = "") -> dict[str, str]:
        newsletter = self._network.newsletters.create(self._account(phone), name, description)
        return {"jid": str(newsletter.jid), "invite": newsletter.invite}

    def follow_newsletter(self, phone: str, newsletter: str, follow: bool = True) -> None:
        """404 group_not_found."""
        account = self._account(phone)
        self._network.newsletters.follow(self._newsletter(account, newsletter), account, follow)

    def newsletter(self, newsletter: str) -> dict[str, Any]:
        """With its posts.  404 group_not_found."""
        found = self._network.newsletters.by_user(newsletter.partition("@")[0])
        if found is None:
            raise GroupNotFound(f"there is no newsletter {newsletter}")
        about = {"jid": str(found.jid), "name": found.name, "description": found.description}
        about |= {"invite": found.invite, "owner": found.owner}
        posts = [_post(post) for post in found.posts.values()]
        return about | {"followers": sorted(found.followers), "posts": posts}


def _post(post: Post) -> dict[str, Any]:
    about = {"id": post.id, "server_id": post.server_id, "timestamp": post.t, "views": post.views}
    about |= {"reactions": post.reactions, "edited": bool(post.edited_ms), "revoked": not post.plaintext}
    return about | describe(Message.FromString(post.plaintext))
