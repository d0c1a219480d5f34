"""What a phone has got and written, and what messages do to each other: edits, revocations, reactions, votes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from sandbox import message_secrets
from sandbox.contents import content_of, unwrapped
from sandbox.contents.kinds import POLLS
from sandbox.message_secrets import EVENT_RESPONSE, POLL_VOTE
from sandbox.model import MAX_INBOX, Account, now
from sandbox.protos import EventResponseMessage, Message, PollVoteMessage
from sandbox.signal_protocol import SignalError
from sandbox.wire import Jid

from .records import Confirmation, Received

if TYPE_CHECKING:
    from sandbox.network import Network

    from .phone import Phone


def row(seq: int) -> str:
    return f"{seq:012d}"  # sorts as the number


class Inbox:
    """The boxes by seq, oldest first; each keeps the newest MAX_INBOX."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._network: Network = phone.network
        self._account: Account = phone.account
        self.received: dict[int, Received] = {}
        self.sent: dict[int, Received] = {}
        self.receipts: dict[int, Confirmation] = {}
        self._by_id: dict[str, int] = {}
        self._sent_by_id: dict[str, int] = {}
        self._seq = 0  # the last one given to a message or receipt

    @staticmethod
    def load_all(network: Network, inboxes: dict[str, Inbox]) -> None:
        for key, message in network.state.load("inbox", Received):
            inboxes[key.partition("/")[0]]._restore("inbox", message)
        for key, message in network.state.load("sent", Received):
            inboxes[key.partition("/")[0]]._restore("sent", message)
        for key, receipt in network.state.load("receipt", Confirmation):
            inboxes[key.partition("/")[0]]._restore("receipt", receipt)

    def _boxes(self, kind: str) -> tuple[dict[int, Any], dict[str, int] | None]:
        match kind:
            case "inbox":
                return self.received, self._by_id
            case "sent":
                return self.sent, self._sent_by_id
        return self.receipts, None

    def _restore(self, kind: str, entry: Received | Confirmation) -> None:
        box, by_id = self._boxes(kind)
        box[entry.seq] = entry
        if by_id is not None:
            by_id[entry.id] = entry.seq
        self._seq = max(self._seq, entry.seq)

    # --- keeping ------------------------------------------------------------------------

    def next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def append(self, kind: str, entry: Received | Confirmation) -> None:
        """Into the box "inbox", "sent" or "receipt"."""
        self._restore(kind, entry)
        box, by_id = self._boxes(kind)
        self._network.state.put(kind, f"{self._account.number}/{row(entry.seq)}", entry)
        while len(box) > MAX_INBOX:
            oldest = next(iter(box))
            gone = box.pop(oldest)
            self._network.state.delete(kind, f"{self._account.number}/{row(oldest)}")
            if by_id is not None and by_id.get(gone.id) == oldest:
                del by_id[gone.id]

    def keep_sent(self, id_: str, to: Jid, message: Any, *, unanswered: bool) -> Received:
        """What the phone writes itself; it has its effects on this phone too."""
        lid, content = self._account.lid, message.SerializeToString()
        entry = Received(self.next_seq(), id_, to, lid, True, now(), content, read=True, unanswered=unanswered)
        self.append("sent", entry)
        self._apply(entry, message, self._account)
        return entry

    def keep(self, entry: Received, message: Any, author: Account | None) -> None:
        self.append("inbox", entry)
        self._apply(entry, message, author)

    def keep_receipt(self, id_: str, type_: str, sender: Jid) -> None:
        self.append("receipt", Confirmation(self.next_seq(), id_, type_, sender))

    def save(self, entry: Received) -> None:
        kind = "sent" if self.sent.get(entry.seq) is entry else "inbox"
        self._network.state.put(kind, f"{self._account.number}/{row(entry.seq)}", entry)

    def by_id(self, id_: str) -> Received | None:
        """What the phone got under this id."""
        return self.received.get(self._by_id.get(id_, 0))

    def sent_by_id(self, id_: str) -> Received | None:
        return self.sent.get(self._sent_by_id.get(id_, 0))

    def find(self, id_: str) -> Received | None:
        return self.by_id(id_) or self.sent_by_id(id_)

    def author(self, entry: Received) -> Account | None:
        return self._network.account(entry.sender, self._account.realm)

    # --- effects ------------------------------------------------------------------------

    def _apply(self, entry: Received, message: Any, author: Account | None) -> None:
        """Change the message that this one is about."""
        name, part = content_of(unwrapped(message))
        effect = {
            "reactionMessage": self._react,
            "protocolMessage": self._change,
            "pollUpdateMessage": self._vote,
            "encEventResponseMessage": self._respond,
            "pinInChatMessage": self._pin,
        }.get(name)
        if effect is not None and author is not None:
            effect(entry, message, part, author)

    def _react(self, entry: Received, message: Any, part: Any, author: Account) -> None:
        if target := self.find(part.key.ID):
            target.reactions.pop(author.number, None)
            if part.text:
                target.reactions[author.number] = part.text
            self.save(target)

    def _change(self, entry: Received, message: Any, part: Any, author: Account) -> None:
        """Edits are believed from the author, revocations from group admins as well."""
        target = self.find(part.key.ID)
        if target is None:
            return
        mine = self.author(target) is author
        if part.type == part.MESSAGE_EDIT and mine:
            target.edited = part.editedMessage.SerializeToString()
        elif part.type == part.REVOKE and (mine or self._is_admin(target.chat, author)):
            target.revoked = True
        else:
            return
        self.save(target)

    def _is_admin(self, chat: Jid, account: Account) -> bool:
        group = self._network.group(chat, self._account.realm)
        return group is not None and group.members.get(account) is not None

    def _pin(self, entry: Received, message: Any, part: Any, author: Account) -> None:
        if target := self.find(part.key.ID):
            pinned = part.type == part.PIN_FOR_ALL
            target.pinned = unwrapped(message).messageContextInfo.messageAddOnDurationInSecs if pinned else 0
            self.save(target)

    def secret_of(self, target: Received) -> bytes:
        """What votes and responses about a message are encrypted under; empty if it has none."""
        message = Message.FromString(target.message)
        outer, inner = message.messageContextInfo.messageSecret, unwrapped(message).messageContextInfo.messageSecret
        return bytes(outer or inner)

    def _reveal(self, target: Received, voter: Account, use: str, payload: bytes, iv: bytes) -> bytes:
        author = self.author(target)
        authors = (author.lid, author.pn) if author else (target.sender,)
        secret = self.secret_of(target)
        return message_secrets.decrypt(secret, target.id, authors, (voter.lid, voter.pn), use, payload, iv)

    def _vote(self, entry: Received, message: Any, part: Any, author: Account) -> None:
        target = self.find(part.pollCreationMessageKey.ID)
        if target is None:
            return
        name, poll = content_of(unwrapped(Message.FromString(target.message)))
        if name not in POLLS:
            return
        try:
            plaintext = self._reveal(target, author, POLL_VOTE, part.vote.encPayload, part.vote.encIV)
            chosen = set(PollVoteMessage.FromString(plaintext).selectedOptions)
        except (SignalError, DecodeError):
            return
        options = [option.optionName for option in poll.options]
        entry.decrypted = [option for option in options if message_secrets.option_hash(option) in chosen]
        target.votes[author.number] = entry.decrypted
        self.save(entry)
        self.save(target)

    def _respond(self, entry: Received, message: Any, part: Any, author: Account) -> None:
        target = self.find(part.eventCreationMessageKey.ID)
        if target is None:
            return
        try:
            plaintext = self._reveal(target, author, EVENT_RESPONSE, part.encPayload, part.encIV)
            answer = EventResponseMessage.FromString(plaintext)
        except (SignalError, DecodeError):
            return
        entry.decrypted = [answer.EventResponseType.Name(answer.response).lower()]
        target.responses[author.number] = entry.decrypted[0]
        self.save(entry)
        self.save(target)
