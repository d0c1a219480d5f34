"""The Signal sessions of one phone: encrypting for devices and groups, decrypting what comes.

Every change of keys is noted in the state before the stanza that depends on it goes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.model import Account, Device
from sandbox.protos import Message
from sandbox.signal_protocol import Bundle, SenderKey, SignalSession, SignalStore, pad, unpad
from sandbox.wire import Jid, Node, WireError, node

from .records import Keys, OwnSenderKey

if TYPE_CHECKING:
    from sandbox.network import Network


class Cipher:
    """Devices are named by their LID with device number."""

    def __init__(self, network: Network, account: Account, keys: Keys) -> None:
        self._network, self._account = network, account
        self.store = SignalStore(account.identity, keys.signed_prekey, keys.registration, keys.signature)
        self._told: dict[Jid, set[Jid]] = {}  # group -> devices that have our sender key

    # --- what survives ------------------------------------------------------------------

    @staticmethod
    def load_all(network: Network, ciphers: dict[str, Cipher]) -> None:
        """Read the sessions of all phones back."""
        state = network.state
        for key, sessions in state.load("session", list[SignalSession]):
            number, peer = key.split("/")
            ciphers[number].store.sessions[Jid.parse(peer)] = sessions
        for key, own in state.load("own_sender_key", OwnSenderKey):
            number, group = key.split("/")
            ciphers[number].store.own_sender_keys[Jid.parse(group)] = own.key
            ciphers[number]._told[Jid.parse(group)] = own.told
        for key, sender_key in state.load("sender_key", SenderKey):
            number, group, sender, id_ = key.split("/")
            ciphers[number].store.sender_keys[Jid.parse(group), Jid.parse(sender), int(id_)] = sender_key

    def _save(self, kind: str, *key: object, value: Any) -> None:
        self._network.state.put(kind, "/".join(map(str, (self._account.number, *key))), value)

    def _save_session(self, peer: Jid) -> None:
        self._save("session", peer, value=lambda: self.store.sessions[peer])

    # --- decrypting ---------------------------------------------------------------------

    def decrypt(self, group: Jid, sender: Jid, enc: Node) -> Any:
        """The Message in an <enc>; a sender key in it is learned.  Raises SignalError, WireError, DecodeError."""
        kind, ciphertext = enc.text("type"), enc.content
        if not isinstance(ciphertext, bytes):
            raise WireError("<enc> without content")
        if kind == "skmsg":
            id_, plaintext = self.store.group_decrypt(group, sender, ciphertext)
            self._save_sender_key(group, sender, id_)
        else:
            plaintext = self.store.decrypt(sender, kind, ciphertext)
            self._save_session(sender)
        message = Message.FromString(unpad(plaintext))
        if message.HasField("senderKeyDistributionMessage"):
            hint = message.senderKeyDistributionMessage
            told = Jid.parse(hint.groupID)
            id_ = self.store.learn_sender_key(told, sender, hint.axolotlSenderKeyDistributionMessage)
            self._save_sender_key(told, sender, id_)
            message.ClearField("senderKeyDistributionMessage")
        return message

    def _save_sender_key(self, group: Jid, sender: Jid, id_: int) -> None:
        key = self.store.sender_keys[group, sender, id_]
        self._save("sender_key", group, sender, id_, value=lambda: key)

    # --- encrypting ---------------------------------------------------------------------

    def encrypt(self, device: Device, plaintext: bytes, *, afresh: bool = False, **attrs: Any) -> Node:
        """An <enc> for one device; `afresh` starts a new session."""
        address = device.lid
        sessions = self.store.sessions.get(address)
        # A number that was linked again has other keys: the old session is of no use.
        if afresh or not sessions or sessions[0].remote_identity != device.identity:
            bundle = self._network.take_bundle(device, address)
            key = (int.from_bytes(bundle.data("key", "id"), "big"), bundle.data("key", "value"))
            signed = device.signed_prekey
            registration = int.from_bytes(device.registration, "big")
            known = (int.from_bytes(signed.id, "big"), signed.value)
            self.store.start(address, Bundle(registration, device.identity, known, key if bundle.find("key") else None))
        kind, ciphertext = self.store.encrypt(address, pad(plaintext))
        self._save_session(address)
        return node("enc", ciphertext, v=2, type=kind, **attrs)

    def share(self, device: Device, plaintext: bytes, **attrs: Any) -> Node:
        """The <to> of one recipient."""
        return node("to", self.encrypt(device, plaintext, **attrs), jid=device.lid)

    def encrypt_for_group(
        self, group: Jid, devices: Iterable[Device], plaintext: bytes, **attrs: Any
    ) -> tuple[list[Node], Node]:
        """A <to> with the sender key for each device that lacks it, and the <enc> for all."""
        distribution, ciphertext = self.store.group_encrypt(group, pad(plaintext))
        told = self._told.setdefault(group, set())
        own = OwnSenderKey(self.store.own_sender_keys[group], told)
        self._save("own_sender_key", group, value=lambda: own)
        hint = self._hint(group, distribution)
        new = [device for device in devices if device.lid not in told]
        shares = [self.share(device, hint) for device in new]
        told |= {device.lid for device in new}
        return shares, node("enc", ciphertext, v=2, type="skmsg", **attrs)

    @staticmethod
    def _hint(group: Jid, distribution: bytes) -> bytes:
        hint = Message()
        hint.senderKeyDistributionMessage.groupID = str(group)
        hint.senderKeyDistributionMessage.axolotlSenderKeyDistributionMessage = distribution
        return bytes(hint.SerializeToString())

    def forget_told(self, group: Jid, device: Device) -> None:
        """The device lacks the sender key: it is told with the next message."""
        self._told.get(group, set()).discard(device.lid)
