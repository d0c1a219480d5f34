"""What a phone's user means, as a Message: keys of other messages, quotes, votes, attachments."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox import message_secrets
from sandbox.attachments import pieces_of, random_pieces
from sandbox.contents import content_of, shapes, unwrapped
from sandbox.contents.kinds import KEY_INFO
from sandbox.errors import BadArguments, MessageNotFound, NotOnWhatsApp
from sandbox.message_secrets import EVENT_RESPONSE, POLL_VOTE
from sandbox.model import now
from sandbox.protos import EventResponseMessage, Message, PollVoteMessage
from sandbox.wire import GROUP, NEWSLETTER, STATUS, Jid

from .files import Stored, store
from .records import Received

if TYPE_CHECKING:
    from .phone import Phone

_FIELDS = {
    "image": "imageMessage",
    "video": "videoMessage",
    "gif": "videoMessage",
    "round": "ptvMessage",
    "audio": "audioMessage",
    "voice": "audioMessage",
    "document": "documentMessage",
    "sticker": "stickerMessage",
}
_MIMETYPES = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "gif": "video/mp4",
    "round": "video/mp4",
    "audio": "audio/mpeg",
    "voice": "audio/ogg; codecs=opus",
    "document": "application/octet-stream",
    "sticker": "image/webp",
}


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _set(part: Any, **values: Any) -> None:
    """Set the fields that have a value."""
    for name, value in values.items():
        if value:
            setattr(part, name, value)


def upload(phone: Phone, to: Jid, kind: str, file: shapes.File) -> Stored:
    """Encrypt and store an attachment of any size; call it from a thread.  Raises BadArguments."""
    info = None if to.server == NEWSLETTER else KEY_INFO[_FIELDS[kind]]
    media, number = phone.network.media, phone.account.number
    if sum(source is not None for source in (file.data, file.path, file.length)) != 1:
        raise BadArguments("an attachment has one of data, path and bytes")
    if file.path is not None:
        try:
            with open(file.path, "rb") as source:
                return store(media, number, pieces_of(source), info)
        except (OSError, ValueError) as e:
            raise BadArguments(f"cannot read the file: {getattr(e, 'strerror', e)}") from e
    pieces: Iterable[bytes] = [file.data] if file.data is not None else random_pieces(file.length or 0)
    return store(media, number, pieces, info)


class Composer:
    """Makes the messages that a phone sends to one chat.  Raises BadArguments, MessageNotFound, NotOnWhatsApp."""

    def __init__(self, phone: Phone, to: Jid, past: Mapping[str, Received] | None = None) -> None:
        """`past` are messages that can be meant besides those that the phone has."""
        self._phone, self._to, self._past = phone, to, past or {}

    def compose(self, kind: str, content: Any, attributes: shapes.Attributes, stored: Stored | None = None) -> Any:
        """A Message of a type with its checked content and, for an attachment, where it is stored."""
        if kind in _FIELDS:
            assert stored is not None, "the attachment comes first"
            message = self._file(kind, content, stored)
        else:
            message = self._WRITERS[kind](self, content)
        return self._with(message, attributes)

    # --- other messages -----------------------------------------------------------------

    def _find(self, id_: str) -> Received:
        entry = self._past.get(id_) or self._phone.inbox.find(id_)
        if entry is None:
            raise MessageNotFound(f"{self._phone.account.number} has no message {id_}")
        return entry

    @staticmethod
    def _point(key: Any, entry: Received) -> None:
        """Fill a MessageKey as seen by this phone."""
        key.remoteJID, key.fromMe, key.ID = str(entry.chat), entry.from_me, entry.id
        if entry.chat.server == GROUP or entry.chat == STATUS:
            key.participant = str(entry.sender)

    def _lid(self, number: str) -> str:
        account = self._phone.network.accounts.get(number.lstrip("+"))
        if account is None or account.realm != self._phone.account.realm:
            raise NotOnWhatsApp(f"{number} is not on WhatsApp")
        return str(account.lid)

    # --- attributes ---------------------------------------------------------------------

    def _with(self, message: Any, attributes: shapes.Attributes) -> Any:
        if attributes == shapes.Attributes():
            return message
        if message.HasField("conversation"):  # it has no room for a context
            message = Message(extendedTextMessage={"text": message.conversation})
        _, part = content_of(unwrapped(message))
        has_context = "contextInfo" in part.DESCRIPTOR.fields_by_name
        if attributes != shapes.Attributes(view_once=attributes.view_once) and not has_context:
            raise BadArguments("nothing can go with this type")
        if has_context:
            self._fill_context(part.contextInfo, attributes)
        if attributes.view_once:
            if "viewOnce" not in part.DESCRIPTOR.fields_by_name:
                raise BadArguments("this type cannot be viewed once")
            part.viewOnce = True
            once = Message()
            envelope = once.viewOnceMessageV2Extension if message.HasField("audioMessage") else once.viewOnceMessageV2
            envelope.message.CopyFrom(message)
            message = once
        if attributes.expires_in:
            ephemeral = Message()
            ephemeral.ephemeralMessage.message.CopyFrom(message)
            message = ephemeral
        return message

    def _fill_context(self, info: Any, attributes: shapes.Attributes) -> None:
        if attributes.reply_to:
            entry = self._find(attributes.reply_to)
            info.stanzaID, info.participant = entry.id, str(entry.sender)
            info.quotedMessage.CopyFrom(unwrapped(Message.FromString(entry.edited or entry.message)))
            info.quotedMessage.ClearField("messageContextInfo")
            if entry.chat != self._to:
                info.remoteJID = str(entry.chat)
        info.mentionedJID.extend(self._lid(number) for number in attributes.mentions)
        _set(info, nonJIDMentions=int(attributes.mention_all), expiration=attributes.expires_in)
        if attributes.forwarded:
            info.isForwarded, info.forwardingScore = True, 1

    # --- types --------------------------------------------------------------------------

    def _text(self, content: shapes.Text) -> Any:
        preview = content.link_preview
        if preview is None:
            return Message(conversation=content.body)
        message = Message(extendedTextMessage={"text": content.body, "matchedText": preview.url})
        part = message.extendedTextMessage
        part.title = preview.title
        _set(part, description=preview.description, JPEGThumbnail=preview.thumbnail)
        return message

    def _file(self, kind: str, content: shapes.File, stored: Stored) -> Any:
        message = Message()
        part = getattr(message, _FIELDS[kind])
        stored.refer(part)
        part.mimetype = content.mimetype or _MIMETYPES[kind]
        values: dict[str, Any] = {"caption": content.caption, "fileName": content.filename, "pageCount": content.pages}
        values |= {"width": content.width, "height": content.height, "seconds": content.seconds}
        values |= {"waveform": content.waveform, "isAnimated": content.animated}
        values |= {"pngThumbnail" if kind == "sticker" else "JPEGThumbnail": content.thumbnail}
        values |= {"PTT": kind == "voice", "gifPlayback": kind == "gif"}
        for name, value in values.items():
            if value and name not in part.DESCRIPTOR.fields_by_name:
                raise BadArguments(f"content: {kind} has no {name}")
        _set(part, **values)
        if kind == "document" and content.caption:
            envelope = Message()
            envelope.documentWithCaptionMessage.message.CopyFrom(message)
            return envelope
        return message

    def album_item(self, parent: Received, item: shapes.AlbumItem, stored: Stored) -> Any:
        message = self._file(item.type, item, stored)
        association = message.messageContextInfo.messageAssociation
        association.associationType = association.MEDIA_ALBUM
        self._point(association.parentMessageKey, parent)
        return message

    def _album(self, content: shapes.Album) -> Any:
        images = sum(item.type == "image" for item in content.items)
        counts = {"expectedImageCount": images, "expectedVideoCount": len(content.items) - images}
        return Message(albumMessage=counts)

    @staticmethod
    def _fill_location(part: Any, content: shapes.Location) -> None:
        part.degreesLatitude, part.degreesLongitude = content.latitude, content.longitude
        _set(part, name=content.name, address=content.address, URL=content.url)

    def _location(self, content: shapes.Location) -> Any:
        message = Message()
        self._fill_location(message.locationMessage, content)
        return message

    def _live_location(self, content: shapes.LiveLocation) -> Any:
        message = Message()
        part = message.liveLocationMessage
        part.degreesLatitude, part.degreesLongitude = content.latitude, content.longitude
        _set(part, accuracyInMeters=content.accuracy_m, speedInMps=content.speed_mps, caption=content.caption)
        _set(part, degreesClockwiseFromMagneticNorth=content.heading_degrees, sequenceNumber=content.sequence)
        return message

    def _contacts(self, content: list[shapes.Card]) -> Any:
        cards = [{"displayName": card.name, "vcard": card.vcard} for card in content]
        if len(cards) == 1:
            return Message(contactMessage=cards[0])
        return Message(contactsArrayMessage={"displayName": f"{len(cards)} contacts", "contacts": cards})

    def _poll(self, content: shapes.Poll) -> Any:
        message = Message()
        part = message.pollCreationMessageV3 if content.selectable == 1 else message.pollCreationMessage
        part.name, part.selectableOptionsCount = content.question, content.selectable
        for option in content.options:
            part.options.add(optionName=option)
        message.messageContextInfo.messageSecret = os.urandom(32)
        return message

    def _under_secret(self, target: Received, use: str, plaintext: bytes) -> tuple[bytes, bytes]:
        secret = self._phone.inbox.secret_of(target)
        if not secret:
            raise BadArguments(f"{target.id} is no poll or event")
        return message_secrets.encrypt(secret, target.id, target.sender, self._phone.account.lid, use, plaintext)

    def _poll_vote(self, content: shapes.PollVote) -> Any:
        target, vote, message = self._find(content.message_id), PollVoteMessage(), Message()
        vote.selectedOptions.extend(message_secrets.option_hash(option) for option in content.options)
        part = message.pollUpdateMessage
        self._point(part.pollCreationMessageKey, target)
        payload, iv = self._under_secret(target, POLL_VOTE, vote.SerializeToString())
        part.vote.encPayload, part.vote.encIV, part.senderTimestampMS = payload, iv, _milliseconds()
        return message

    def _event(self, content: shapes.Event) -> Any:
        message = Message()
        part = message.eventMessage
        part.name, part.startTime, part.isCanceled = content.name, content.starts_at, content.cancelled
        _set(part, description=content.description, endTime=content.ends_at, joinLink=content.call)
        if content.location:
            self._fill_location(part.location, content.location)
        message.messageContextInfo.messageSecret = os.urandom(32)
        return message

    def _event_response(self, content: shapes.EventResponse) -> Any:
        target, answer, message = self._find(content.message_id), EventResponseMessage(), Message()
        answer.response = answer.EventResponseType.Value(content.response.upper())
        answer.timestampMS = _milliseconds()
        part = message.encEventResponseMessage
        self._point(part.eventCreationMessageKey, target)
        part.encPayload, part.encIV = self._under_secret(target, EVENT_RESPONSE, answer.SerializeToString())
        return message

    def _reaction(self, content: shapes.Reaction) -> Any:
        message = Message()
        self._point(message.reactionMessage.key, self._find(content.message_id))
        message.reactionMessage.text, message.reactionMessage.senderTimestampMS = content.emoji, _milliseconds()
        return message

    def _edit(self, content: shapes.Edit) -> Any:
        target, message = self._find(content.message_id), Message()
        new = unwrapped(Message.FromString(target.message))
        name, part = content_of(new)
        if name in KEY_INFO:
            part.caption = content.body
        elif name in ("conversation", "extendedTextMessage"):
            new = Message(conversation=content.body)
        else:
            raise BadArguments("only a text or a caption can be edited")
        protocol = message.editedMessage.message.protocolMessage
        protocol.type, protocol.timestampMS = protocol.MESSAGE_EDIT, _milliseconds()
        protocol.editedMessage.CopyFrom(new)
        self._point(protocol.key, target)
        return message

    def _revoke(self, content: shapes.Revoke) -> Any:
        message = Message()
        message.protocolMessage.type = message.protocolMessage.REVOKE
        self._point(message.protocolMessage.key, self._find(content.message_id))
        return message

    def _pin(self, content: shapes.Pin) -> Any:
        message = Message()
        part = message.pinInChatMessage
        self._point(part.key, self._find(content.message_id))
        part.type = part.PIN_FOR_ALL if content.seconds else part.UNPIN_FOR_ALL
        part.senderTimestampMS = _milliseconds()
        _set(message.messageContextInfo, messageAddOnDurationInSecs=content.seconds)
        return message

    def _group_invite(self, content: shapes.GroupInvite) -> Any:
        group = self._phone.network.group(self._phone.outbox.resolve(content.group), self._phone.account.realm)
        if group is None:
            raise BadArguments(f"{content.group} is no group")
        message = Message()
        part = message.groupInviteMessage
        part.groupJID, part.inviteCode = str(group.jid), content.code or group.invite
        part.groupName, part.inviteExpiration = content.name or group.subject, content.expires_at or now() + 3 * 86400
        _set(part, caption=content.caption)
        return message

    def _unsupported(self, content: shapes.Unsupported) -> Any:
        message = Message()
        field = Message.DESCRIPTOR.fields_by_name.get(content.kind)
        if field is None or field.message_type is None:
            raise BadArguments(f"there is no kind {content.kind}")
        getattr(message, content.kind).SetInParent()
        return message

    def _undecryptable(self, content: shapes.Undecryptable) -> Any:
        return Message(conversation=content.body)

    def disappearing(self, seconds: int) -> Any:
        """The timer of the chat."""
        message = Message()
        protocol = message.protocolMessage
        protocol.type, protocol.ephemeralExpiration = protocol.EPHEMERAL_SETTING, seconds
        protocol.ephemeralSettingTimestamp = now()
        return message

    _WRITERS: dict[str, Callable[[Composer, Any], Any]] = {
        "text": _text,
        "album": _album,
        "location": _location,
        "live_location": _live_location,
        "contacts": _contacts,
        "poll": _poll,
        "poll_vote": _poll_vote,
        "reaction": _reaction,
        "edit": _edit,
        "revoke": _revoke,
        "pin": _pin,
        "group_invite": _group_invite,
        "event": _event,
        "event_response": _event_response,
        "unsupported": _unsupported,
        "undecryptable": _undecryptable,
    }
