"""Newsletters ("channels"): one account posts, others follow.  A newsletter lives in the realm of its owner.

Protocol facts
--------------
* A post is <message to=JID><plaintext>Message</plaintext></message>; there is no encryption.  The <ack> carries
  `server_id`, a number that counts the posts of the newsletter.
* An edit (edit="3") or revocation (edit="8", empty plaintext) has the id of the post.
* Followers get the same stanza from the newsletter, with <meta original_msg_t/> and, if changed, msg_edit_t.
* <message type="reaction" server_id=N><reaction code="..."/></message>; without a code it is taken back.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .model import Account, Device, new_invite, now
from .wire import NEWSLETTER, Jid, Node, node

if TYPE_CHECKING:
    from .network import Network

MAX_POSTS = 1_000  # of one newsletter; the oldest go first


@dataclass
class Post:
    server_id: int
    id: str
    t: int
    type: str  # of the stanza
    plaintext: bytes  # a serialized Message; empty when it has been revoked
    mediatype: str | None = None
    edited_ms: int = 0  # Unix time in milliseconds
    views: int = 0
    reactions: dict[str, str] = field(default_factory=dict)  # phone number -> emoji

    def counts(self) -> dict[str, int]:
        """Emoji -> how many."""
        given = list(self.reactions.values())
        return {emoji: given.count(emoji) for emoji in given}

    def describe(self) -> Node:
        """As newsletter queries show it."""
        reactions = [node("reaction", code=emoji, count=count) for emoji, count in self.counts().items()]
        return node(
            "message",
            node("plaintext", self.plaintext, mediatype=self.mediatype),
            node("views_count", count=self.views, type="total"),
            node("reactions", *reactions) if reactions else None,
            server_id=self.server_id,
            id=self.id,
            type=self.type,
            t=self.t,
        )


@dataclass
class Newsletter:
    jid: Jid
    name: str
    description: str
    owner: str  # phone number
    realm: str
    invite: str = field(default_factory=new_invite)
    created: int = field(default_factory=now)
    followers: set[str] = field(default_factory=set)  # phone numbers
    muted: set[str] = field(default_factory=set)
    last_server_id: int = 100  # real ones start somewhere as well

    def __post_init__(self) -> None:
        self.posts: dict[int, Post] = {}  # by server id

    def post_by_id(self, id_: str) -> Post | None:
        return next((post for post in reversed(self.posts.values()) if post.id == id_), None)

    def role(self, number: str) -> str:
        if number == self.owner:
            return "OWNER"
        return "SUBSCRIBER" if number in self.followers else "GUEST"


class Newsletters:
    """All newsletters of the network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._all: dict[str, Newsletter] = {}  # by the JID's user

    def load(self) -> None:
        for user, newsletter in self._network.state.load("newsletter", Newsletter):
            self._all[user] = newsletter
        for key, post in self._network.state.load("post", Post):
            self._all[key.partition("/")[0]].posts[post.server_id] = post

    def find(self, jid: Jid, realm: str) -> Newsletter | None:
        found = self._all.get(jid.user) if jid.server == NEWSLETTER else None
        return found if found and found.realm == realm else None

    def by_user(self, user: str) -> Newsletter | None:
        """For the control API, which knows no realm of its own."""
        return self._all.get(user)

    def by_invite(self, invite: str, realm: str) -> Newsletter | None:
        return next((n for n in self._all.values() if n.invite == invite and n.realm == realm), None)

    def followed_by(self, account: Account) -> Iterator[Newsletter]:
        """Its own included."""
        for newsletter in self._all.values():
            if newsletter.realm == account.realm and newsletter.role(account.number) != "GUEST":
                yield newsletter

    def create(self, owner: Account, name: str, description: str) -> Newsletter:
        jid = Jid(f"120363{secrets.randbelow(10**12):012d}", NEWSLETTER)
        newsletter = self._all[jid.user] = Newsletter(jid, name, description, owner.number, owner.realm)
        self.save(newsletter)
        return newsletter

    def save(self, newsletter: Newsletter) -> None:
        self._network.state.put("newsletter", newsletter.jid.user, newsletter)

    def save_post(self, newsletter: Newsletter, post: Post) -> None:
        self._network.state.put("post", f"{newsletter.jid.user}/{post.server_id:09d}", post)

    def follow(self, newsletter: Newsletter, account: Account, follow: bool) -> None:
        if follow and account.number != newsletter.owner:
            newsletter.followers.add(account.number)
        else:
            newsletter.followers.discard(account.number)
        self.save(newsletter)

    # --- posts --------------------------------------------------------------------------

    def accept(self, sender: Device, stanza: Node) -> tuple[int, int]:
        """Take a post, a change or a reaction; returns (server id, 0) or (0, error code)."""
        newsletter = self.find(stanza.jid("to"), sender.account.realm)
        if newsletter is None:
            return 0, 404
        if stanza.attrs.get("type") == "reaction":
            return self._react(newsletter, sender.account, stanza)
        if sender.account.number != newsletter.owner:
            return 0, 403
        if "edit" in stanza.attrs:
            return self._change(newsletter, sender, stanza)
        newsletter.last_server_id += 1
        plaintext = stanza.find("plaintext")
        mediatype = plaintext.text("mediatype", "") if plaintext else ""
        id_, type_, content = stanza.text("id"), stanza.text("type"), stanza.data("plaintext")
        post = Post(newsletter.last_server_id, id_, now(), type_, content, mediatype or None)
        newsletter.posts[post.server_id] = post
        self.save(newsletter)
        self.save_post(newsletter, post)
        while len(newsletter.posts) > MAX_POSTS:
            oldest = next(iter(newsletter.posts))
            del newsletter.posts[oldest]
            self._network.state.delete("post", f"{newsletter.jid.user}/{oldest:09d}")
        self._publish(newsletter, post, sender)
        return post.server_id, 0

    def _change(self, newsletter: Newsletter, sender: Device, stanza: Node) -> tuple[int, int]:
        post = newsletter.post_by_id(stanza.text("id"))
        if post is None:
            return 0, 404
        post.plaintext, post.edited_ms = stanza.data("plaintext"), int(time.time() * 1000)
        self.save_post(newsletter, post)
        self._publish(newsletter, post, sender, edit=stanza.text("edit"))
        return post.server_id, 0

    def _react(self, newsletter: Newsletter, account: Account, stanza: Node) -> tuple[int, int]:
        post, reaction = newsletter.posts.get(stanza.number("server_id", 0)), stanza.find("reaction")
        if post is None or reaction is None:
            return 0, 404
        post.reactions.pop(account.number, None)
        if code := reaction.text("code", ""):
            post.reactions[account.number] = code
        self.save_post(newsletter, post)
        return post.server_id, 0

    def viewed(self, jid: Jid, account: Account, stanza: Node) -> None:
        """A receipt of type "view"."""
        if newsletter := self.find(jid, account.realm):
            for item in stanza.find("list") or ():
                if post := newsletter.posts.get(item.number("server_id", 0)):
                    post.views += 1
                    self.save_post(newsletter, post)

    def _publish(self, newsletter: Newsletter, post: Post, sender: Device, edit: str | None = None) -> None:
        meta = node("meta", original_msg_t=post.t, msg_edit_t=post.edited_ms or None)
        plaintext = node("plaintext", post.plaintext, mediatype=post.mediatype)
        stanza = node(
            "message",
            plaintext,
            meta,
            from_=newsletter.jid,
            id=post.id,
            server_id=post.server_id,
            t=post.t,
            type=post.type,
            edit=edit,
        )
        for number in (newsletter.owner, *sorted(newsletter.followers)):
            for device in self._network.accounts[number].devices.values():
                if device is not sender:
                    self._network.deliver(device, stanza)
