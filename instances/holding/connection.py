"""One number in the hands of this worker: links it if need be, keeps it connected, passes on its news."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import Any

import structlog
from django.conf import settings as of_installation

from config import metrics
from instances import keystores, proxies, settings
from instances.holding.attachments import attach
from instances.holding.commands import Commands
from instances.holding.fence import Fence
from instances.holding.hand_over import as_holder_sees_it
from instances.holding.handlers import Degraded, Unlinked
from instances.holding.intake import Intake
from instances.holding.keywatch import KEYS
from instances.holding.linking import Link, is_of_keys, is_of_network, link_place
from instances.holding.probation import Probation
from instances.holding.reach import Reach
from instances.holding.replaying import replay_own
from instances.holding.starts import STARTS
from instances.holding.watchdog import Watchdog
from instances.holding.writer import LeaseLost, Writer
from instances.models import Instance, KeyStore
from instances.states import ENDED, State, Wanted
from instances.whatsapp.client import Client
from instances.whatsapp.failures import SendFailed
from instances.whatsapp.jids import parse
from instances.whatsapp.news import News, StateChange
from instances.whatsapp.store import StoreFailed
from instances.whatsapp.translating import KEEP_ALIVE, KEEP_ALIVE_LOST, STATES, STREAM_ERROR, codes, translate

log = structlog.get_logger(__name__)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_QUIET_SECONDS, _DRAIN_SECONDS = 0.3, 15.0
_QUIET_DATABASE_SECONDS = 1.0  # a key that is being used up may take its time
_LASTING_SECONDS = 30.0  # online for so long, the next pause is the first again
_SHOW_SECONDS = 60.0  # to try to be shown as online
UNLINK_SECONDS = 30.0  # to come online and be logged out; then the keys go without it


class Connection(Reach):
    """Runs on a thread of its own from `start` until `close` or an end that only the user can mend."""

    def __init__(self, instance: Instance, writer: Writer, fence: Fence) -> None:
        self.instance_id, self.network, self.epoch = instance.id, instance.network, instance.epoch
        self.fence = fence
        self.store = keystores.store_of(instance)
        self._keys_shared = self.store.kind == KeyStore.POSTGRES
        self._quiet_seconds = _QUIET_DATABASE_SECONDS if self._keys_shared else _QUIET_SECONDS
        wanted = settings.of(instance)
        self._codes = codes(history=wanted.history.days > 0, typing=wanted.receive.typing)
        self._device_jid, self._link_phone = instance.device_jid, instance.link_phone
        self.restarts, self._proxy = instance.restarts, instance.proxy
        self._device_name, self._mark_online = wanted.device_name, wanted.mark_online
        self._writer = writer
        self._intake: Intake | None = None
        self._stopping = threading.Event()
        self._leaving = False
        self._paused = threading.Event()  # set: end the present attempt's pause early
        self._client: Client | None = None
        self._link: Link | None = None
        self._end: StateChange | None = None
        self._online = self._shown_online = False
        self._online_since = 0.0
        self._last_event = self._last_use = time.monotonic()
        self._replaced_at: float | None = None
        self._held_since = time.monotonic()
        self._pause = _FIRST_PAUSE_SECONDS
        self.probation = Probation(instance.crashes, instance.linked)
        self.watchdog = Watchdog(self)
        self.commands = Commands(self)
        # A number that is only to be logged out sends nothing any more.
        self._attachments = [make(self) for make in attach] if instance.wanted == Wanted.CONNECTED else []
        self._thread = threading.Thread(target=self._run, name=f"number-{instance.id}", daemon=True)

    # --- for the holder ---------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    @property
    def ended(self) -> bool:
        """True when there is nothing left to do and the lease may go."""
        return not self._thread.is_alive()

    @property
    def idle_seconds(self) -> float:
        """Since something was received, or sent."""
        return time.monotonic() - max(self._last_event, self._last_use)

    @property
    def movable(self) -> bool:
        """Whether it may be given to another worker: not while it is being linked or connected."""
        return self.online and not self.probation.lasts

    def ask_pairing_code(self, phone: str) -> None:
        """Have the link in progress ask WhatsApp for a code, once for each number."""
        if phone != self._link_phone:
            self._link_phone = phone
            if link := self._link:
                link.ask_code(phone)

    def wake(self) -> None:
        for attachment in self._attachments:
            attachment.wake()

    def close(self, deadline: float) -> None:
        """End in order, losing nothing: sends in flight first, then the socket, then what it had received."""
        for attachment in self._attachments:
            attachment.close(deadline)
        self._stopping.set()
        self._paused.set()
        self._disconnect(deadline)
        if intake := self._intake:
            intake.wait(deadline)
        self._end_thread(deadline)
        if self.ended and not self._device_jid:
            with contextlib.suppress(StoreFailed):  # the next link erases it
                self.store.erase()

    def leave(self) -> None:
        """The process ends: do not wait for what the next holder can do as well."""
        self._leaving = True

    def unlink(self, deadline: float) -> None:
        """Remove the link at WhatsApp, end in order, and delete the keys, whether WhatsApp answered or not.

        Unless the process ends first: then it is the next holder's.
        """
        log.info("unlinking", instance=self.instance_id)
        for attachment in self._attachments:
            attachment.close(deadline)
        error = self._log_out(time.monotonic() + UNLINK_SECONDS)
        self.close(max(deadline, time.monotonic() + _DRAIN_SECONDS))
        if error and self._leaving:
            log.info("unlinking_left", instance=self.instance_id)
        elif self.ended:  # else the library may still use the file; the next holder will try again
            self.store.erase()
            self._write(Unlinked(error))

    def _log_out(self, until: float) -> str:
        """Why it was not possible; empty when WhatsApp has removed the link."""
        while not self._online and not self.ended and not self._leaving and time.monotonic() < until:
            time.sleep(0.05)
        try:
            self._connected().log_out()
        except SendFailed as error:
            log.warning("not_logged_out", error=str(error))
            return "WhatsApp could not be reached." if not self._online else proxies.scrubbed(str(error), self._proxy)
        return ""

    def cut(self) -> None:
        """Close the socket at once; for a lease that has run out, of which `abandon` does the rest."""
        self._stopping.set()
        if client := self._client:
            client.disconnect()

    def abandon(self) -> None:
        """The lease is lost: get off the network now. What was confirmed to WhatsApp goes to the journal."""
        self._stopping.set()
        self._paused.set()
        self._disconnect(time.monotonic() + _DRAIN_SECONDS)
        self._end_thread(time.monotonic() + _DRAIN_SECONDS)
        for attachment in self._attachments:
            attachment.close(time.monotonic())

    def _end_thread(self, deadline: float) -> None:
        # Again and again: the client may have been about to enter the library's registry.
        while self._thread.is_alive() and time.monotonic() < deadline:
            if client := self._client:
                client.stop()
            self._thread.join(0.2)

    def _disconnect(self, deadline: float) -> None:
        """Close the socket, and take over what the library still holds."""
        if intake := self._intake:
            intake.release()
        if client := self._client:
            self._hang_up(client, deadline)

    def _hang_up(self, client: Client, deadline: float) -> None:
        client.disconnect()
        self._last_event = time.monotonic()
        limit = min(deadline, time.monotonic() + _DRAIN_SECONDS)
        while time.monotonic() < limit and time.monotonic() - self._last_event < self._quiet_seconds:
            time.sleep(0.02)

    # --- for its watchdog -------------------------------------------------------------------

    def ask(self) -> None:
        self._connected().status_privacy()

    def waits_for_login(self) -> bool:
        client = self._client
        return client is not None and client.waits_for_login()

    def restart(self, reason: str, silent_seconds: int) -> None:
        client = self._client
        if client is None or self._stopping.is_set():
            return
        log.warning("deaf", instance=self.instance_id, reason=reason, silent_seconds=silent_seconds)
        metrics.DEGRADED.inc(reason)
        self._online, self._end = False, StateChange(State.RECONNECTING, "no_answer")
        self.write(Degraded(reason, silent_seconds))
        self._hang_up(client, time.monotonic() + _DRAIN_SECONDS)
        client.stop()

    # --- for the watch of the key database ----------------------------------------------------

    def leave_for_keys(self) -> None:
        client = self._client
        if not self._keys_shared or client is None or self._stopping.is_set():
            return
        self._online, self._end = False, StateChange(State.RECONNECTING, "key_store_unreachable")
        metrics.RECONNECTS.inc("key_store_unreachable")
        client.disconnect()
        self.write(self._end)
        # A message that is being decrypted has used its key as soon as the database goes on. Were the library stopped,
        # nobody would hear of it, and when WhatsApp repeats it, it could not be decrypted any more.
        KEYS.wait(self._stopping)
        self._hang_up(client, time.monotonic() + _DRAIN_SECONDS)
        client.stop()

    # --- the number's own thread ------------------------------------------------------------

    def _run(self) -> None:
        structlog.contextvars.bind_contextvars(instance=self.instance_id)
        try:
            replay_own(self.instance_id, self._writer)
            self._intake = Intake(self.instance_id, self.epoch, self._writer, self._seen)
            while not self._stopping.is_set():
                if not self._device_jid and not self._link_number():
                    break
                if not self._device_jid:
                    continue
                if not STARTS.wait(self._stopping):
                    break
                try:
                    self._connect_once()
                except StoreFailed as error:
                    self._miss_keys(str(error))
                if self._end is not None and self._end.state in ENDED:
                    break
                self._wait()
        except LeaseLost:
            log.warning("lease_lost")
        except Exception:
            log.exception("connection_failed")
        finally:
            if self._intake:
                self._intake.end()

    def _write(self, value: Any) -> None:
        self.write(value).result()

    def _link_number(self) -> bool:
        """Show QR codes until the number is linked; False when the number is to be left alone."""
        with link_place(self._stopping):
            return self._link_in_place()

    def _link_in_place(self) -> bool:
        until = time.monotonic() + of_installation.LINK_SECONDS
        while not self._stopping.is_set():
            self._link = Link(self.store, self.write, self._on_event, self._link_phone, self._device_name, self._proxy)
            end = self._link.run(self._stopping)
            refused, device_jid, self._link = self._link.refused, self._link.device_jid, None
            if end is None:
                self._device_jid = device_jid
                if refused:  # it goes online only to be logged out
                    self._attachments = []
                return True
            if self._stopping.is_set():
                return False
            if end.reason == "link_timeout" and time.monotonic() < until:
                continue
            self._write(end)
            if end.state != State.RECONNECTING:
                return False
            self._wait()
        return False

    def _connect_once(self) -> None:
        device_jid = self._device_jid
        assert device_jid is not None
        for attachment in self._attachments:
            attachment.offline()
        if not self.store.has_device(device_jid):
            self._end = StateChange(State.LOGGED_OUT, "store_lost")
            self._write(self._end)
            return
        self.store.watch_order()
        self.store.restore_contacts()
        self._end = None
        try:
            proxy = proxies.pinned(self._proxy) if self._proxy else None
        except proxies.ProxyUnusable as error:
            self._write(StateChange(State.RECONNECTING, "proxy_unreachable", str(error)))
            return
        client = self._client = Client(
            self.store.name, parse(device_jid), self._codes, self._on_event, proxy=proxy, device_name=self._device_name
        )
        self.probation.begin()
        self.watchdog.connecting()
        try:
            ended = "" if self._stopping.is_set() or not self.fence.holds else client.run()
        finally:
            self._client, self._online, self._shown_online = None, False, False
            self.watchdog.offline()
            client.stop()
        if self._stopping.is_set() or self._end is not None:
            return
        if is_of_keys(ended):
            self._miss_keys(ended)
            return
        reason = "engine_error"
        if is_of_network(ended):
            reason = "proxy_unreachable" if self._proxy else "network_unreachable"
        metrics.RECONNECTS.inc(reason)
        self._write(StateChange(State.RECONNECTING, reason, proxies.scrubbed(ended, self._proxy)))

    def _miss_keys(self, error: str) -> None:
        log.warning("key_store_failed", error=error)
        self._end = None
        self._write(StateChange(State.RECONNECTING, "key_store_unreachable"))

    def _wait(self) -> None:
        """Pause before the next attempt; each one leaks handles in the library, so they become rarer."""
        if self._online_since and time.monotonic() - self._online_since > _LASTING_SECONDS:
            self._pause = _FIRST_PAUSE_SECONDS
        self._online_since = 0.0
        if self._keys_shared:
            KEYS.wait(self._stopping)
        self._paused.wait(self._pause * random.uniform(0.8, 1.2))  # noqa: S311 (jitter is no secret)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    def _on_event(self, code: int, raw: bytes) -> None:
        """News from the library, which hands over the next when this returns."""
        assert self._intake is not None
        self._last_event = time.monotonic()
        if code in KEEP_ALIVE:
            self._on_keep_alive(code)
            return
        self.watchdog.heard()
        if code in STATES:
            change = translate(code, raw)
            assert isinstance(change, StateChange)
            self._on_state(code, change)
        else:
            self._intake.take(code, raw)
        self._last_event = time.monotonic()

    def _on_keep_alive(self, code: int) -> None:
        if code == KEEP_ALIVE_LOST:
            self.watchdog.doubt()
        else:
            self.watchdog.heard()

    def _show_online(self, client: Client) -> None:
        """Again and again for some time: just linked, the number does not know its own name, and cannot yet."""
        until, words = time.monotonic() + _SHOW_SECONDS, ""
        while self._client is client and self.online and time.monotonic() < until:
            try:
                client.presence(available=True)
                self._shown_online = True
                return
            except SendFailed as error:
                words = str(error)
            self._stopping.wait(1.0)
        log.info("not_shown_online", instance=self.instance_id, error=words)

    def _seen(self, news: News) -> None:
        for attachment in self._attachments:
            attachment.seen(news)

    def _on_state(self, code: int, reported: StateChange) -> None:
        change = self._as_we_see_it(reported)
        self._online = change.state == State.CONNECTED
        if change.state == State.RECONNECTING:
            metrics.RECONNECTS.inc(change.reason)
            self.probation.begin()
            self.watchdog.offline()
        self.write(change)  # committed later; nothing that WhatsApp has confirmed may wait for it
        if self._online:
            self._online_since, self._shown_online = time.monotonic(), False
            self.probation.online()
            self.watchdog.online()
            if self._mark_online and (client := self._client):
                threading.Thread(target=self._show_online, args=[client], daemon=True).start()
            for attachment in self._attachments:
                attachment.online()
        elif reported.state in ENDED or code == STREAM_ERROR:
            # The library's call does not return by itself; stopping it from its own callback is allowed.
            self._end = change
            if self._client:
                self._client.stop()

    def _as_we_see_it(self, reported: StateChange) -> StateChange:
        now = time.monotonic()
        forgiven = None if self._replaced_at is None else now - self._replaced_at
        change = as_holder_sees_it(reported, self.epoch, now - self._held_since, forgiven)
        if change is not reported:
            self._replaced_at = now
        return change
