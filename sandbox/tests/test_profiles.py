"""What accounts show and to whom, without sockets; the answers in the shapes that whatsmeow reads."""

from __future__ import annotations

import base64
import json

from sandbox.network import Network
from sandbox.protos import VerifiedNameCertificate
from sandbox.wire import SERVER, Jid, Node, node

from .calling import ALICE, BOB, CHARLIE, Caller
from .harness import MemorySession
from .linking import device_of, linked

PICTURE = base64.b64encode(b"a picture").decode()


def jid(number: str) -> Jid:
    return Jid(number)


def usync(session: MemorySession, number: str, *fields: str) -> Node:
    query = node("query", *(node(name) for name in fields))
    people = node("list", node("user", jid=jid(number)))
    asked = node("usync", query, people, sid="1", mode="full", context="background")
    user = session.query("usync", "get", asked).find("usync", "list", "user")
    assert user is not None
    return user


def picture(session: MemorySession, number: str) -> Node:
    asked = node("picture", query="url", type="image")
    about = {"xmlns": "w:profile:picture", "type": "get", "id": "p"}
    session.network.received(session, node("iq", asked, **about, target=jid(number), to=SERVER))
    return session.sent[-1]


def error(answer: Node) -> tuple[int, str]:
    found = answer.find("error")
    assert found is not None
    return found.number("code", 0), found.text("text")


async def test_what_a_phone_shows_is_found_in_the_directory(network: Network, call: Caller) -> None:
    session = await linked(network, ALICE, realm="one")
    assert usync(session, BOB, "business", "picture").find("business") is None
    await call("set_profile", phone=BOB, about="At sea", picture=PICTURE, business_name="Bob's Boats")
    user = usync(session, BOB, "status", "picture", "business", "devices")
    assert user.data("status") == b"At sea"
    shown = user.find("picture")
    answer = picture(session, BOB).find("picture")
    assert shown is not None
    assert answer is not None
    assert shown.text("id") == answer.text("id") == (await call("profile", phone=BOB))["picture"]
    name = user.find("business", "verified_name")
    assert name is not None
    certificate = VerifiedNameCertificate.FromString(name.content)
    assert VerifiedNameCertificate.Details.FromString(certificate.details).verifiedName == "Bob's Boats"


async def test_what_a_phone_hides_is_not_shown(network: Network, call: Caller) -> None:
    session = await linked(network, ALICE, realm="one")
    await call("set_profile", phone=BOB, about="At sea", picture=PICTURE)
    await call("set_privacy", phone=BOB, settings={"status": "none", "profile": "contacts", "last": "none"})
    hidden = usync(session, BOB, "status", "picture").find("status")
    assert hidden is not None
    assert (hidden.content, hidden.number("code", 0)) == (None, 401)
    assert error(picture(session, BOB)) == (401, "not-authorized")
    network.handle(device_of(session), node("presence", type="subscribe", to=jid(BOB)))
    assert session.last("presence").text("last") == "deny"
    await call("save_contacts", phone=BOB, contacts={ALICE: "Alice"})
    assert picture(session, BOB).text("type") == "result"
    assert error(picture(session, CHARLIE)) == (404, "item-not-found")


async def test_of_who_is_blocked_nothing_arrives(network: Network, call: Caller) -> None:
    session = await linked(network, ALICE, realm="one")
    lid = (await call("phone", phone=BOB))["lid"]
    item = node("item", jid=Jid.parse(lid), action="block", pn_jid=jid(BOB))
    listed = session.query("blocklist", "set", item).find("list", "item")
    assert listed is not None
    assert str(listed.jid("jid")) == lid
    assert (await call("profile", phone=ALICE))["blocked"] == [BOB]
    mark = len(session.sent)
    await call("send_text", phone=BOB, to=ALICE, text="hello?")
    await call("typing", phone=BOB, to=ALICE)
    assert await call.received(ALICE) == []
    assert [one for one in session.sent[mark:] if one.tag in ("message", "chatstate")] == []
    session.query("blocklist", "set", node("item", jid=Jid.parse(lid), action="unblock"))
    await call("send_text", phone=BOB, to=ALICE, text="hello")
    assert [one["text"] for one in await call.received(ALICE)] == ["hello"]


async def test_an_about_text_is_set_by_a_mutation(network: Network, call: Caller) -> None:
    session = await linked(network, ALICE, realm="one")
    words = {"variables": {"input": {"text": "Open till nine", "ephemeral_duration_sec": 0}}}
    answer = session.query("w:mex", "get", node("query", json.dumps(words), query_id="9152604461510864"))
    assert answer.find("result") is not None
    assert (await call("profile", phone=ALICE))["about"] == "Open till nine"


async def test_a_contact_link_leads_to_its_owner_until_it_is_revoked(network: Network, call: Caller) -> None:
    session = await linked(network, ALICE, realm="one")
    link = await call("contact_link", phone=BOB)
    code = link.rpartition("/")[2]
    found = session.query("w:qr", "get", node("qr", code=code)).find("qr")
    assert found is not None
    assert (found.jid("jid").user, found.text("type"), found.text("notify")) == (BOB, "contact", "Bob")
    foreign = (await call("contact_link", phone=CHARLIE)).rpartition("/")[2]
    assert error(session.query("w:qr", "get", node("qr", code=foreign))) == (404, "item-not-found")
    own = [session.query("w:qr", "set", node("qr", type="contact", action=what)) for what in ("get", "get", "revoke")]
    first, second, third = [one.find("qr").text("code") for one in own]  # type: ignore[union-attr]
    assert first == second != third
    assert error(session.query("w:qr", "get", node("qr", code=first.rpartition("/")[2]))) == (404, "item-not-found")


async def test_a_profile_takes_sensible_settings_only(call: Caller) -> None:
    assert await call.refusal("set_privacy", phone=ALICE, settings={"hair": "all"}) == (400, "bad_arguments")
    assert await call.refusal("set_privacy", phone=ALICE, settings={"last": "red"}) == (400, "bad_arguments")
    assert await call.refusal("set_profile", phone=ALICE, picture="?") == (400, "bad_arguments")
