"""Newsletters, status posts, groups and their receipts, timers: between real clients and phones."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import pytest

from .harness import ClientProcess, Refused, wait_until
from .phones import ALICE, BOB, b64, lid, new_phone, received


def posts(clients: ClientProcess, newsletter: str) -> list[dict[str, Any]]:
    return list(clients.sandbox("newsletter", newsletter=newsletter)["posts"])


# --- newsletters ----------------------------------------------------------------------------


def test_a_clients_post_reaches_the_followers_of_its_newsletter(clients: ClientProcess) -> None:
    newsletter, follower = clients("create_newsletter", "alice", name="News"), new_phone(clients)
    clients.sandbox("follow_newsletter", phone=follower, newsletter=newsletter)
    clients("follow_newsletter", "bob", newsletter=newsletter)
    about = clients.sandbox("newsletter", newsletter=newsletter)
    assert (about["name"], about["owner"], about["followers"]) == ("News", ALICE, sorted([BOB, follower]))
    assert clients("newsletter_info", "bob", newsletter=newsletter) == {"name": "News", "invite": about["invite"]}

    sent = clients("send_any", "alice", to=newsletter, message={"conversation": "extra"})
    shown = received(clients, follower, sent["id"])
    assert (shown["chat"], shown["from"], shown["text"]) == (newsletter, None, "extra")
    assert shown["server_id"] == sent["server_id"] > 0
    event = clients.expect(client="bob", event="message", id=sent["id"])
    assert (event["text"], event["chat"]) == ("extra", newsletter)

    data = os.urandom(5_000)
    image = {"imageMessage": {"mimetype": "image/png", "caption": "look"}}
    second = clients("send_any", "alice", to=newsletter, message=image, media={"imageMessage": b64(data)})
    assert second["server_id"] == sent["server_id"] + 1
    attachment = received(clients, follower, second["id"])["attachment"]
    assert attachment == {"status": "ok", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert "mediaKey" not in received(clients, follower, second["id"])["message"]["imageMessage"]

    clients("newsletter_react", "bob", newsletter=newsletter, server_id=sent["server_id"], emoji="👍")
    wait_until(lambda: posts(clients, newsletter)[0]["reactions"] == {BOB: "👍"})
    listed = clients("newsletter_posts", "bob", newsletter=newsletter)
    assert [post["text"] for post in listed] == ["extra", "look"]

    clients("edit", "alice", to=newsletter, id=sent["id"], text="EXTRA")
    wait_until(lambda: received(clients, follower, sent["id"])["text"] == "EXTRA")
    clients("revoke", "alice", to=newsletter, id=second["id"])
    wait_until(lambda: received(clients, follower, second["id"]).get("revoked"))
    assert [(p["edited"], p["revoked"]) for p in posts(clients, newsletter)] == [(True, False), (True, True)]


def test_a_phones_post_reaches_following_clients(clients: ClientProcess) -> None:
    owner = new_phone(clients)
    newsletter = clients.sandbox("create_newsletter", phone=owner, name="Mine", description="all about me")["jid"]
    clients("follow_newsletter", "alice", newsletter=newsletter)
    id_ = clients.sandbox("send_message", phone=owner, to=newsletter, type="text", content={"body": "post"})["id"]
    event = clients.expect(client="alice", event="message", id=id_)
    assert (event["text"], event["chat"], event["from_me"]) == ("post", newsletter, False)
    data = os.urandom(5_000)
    content = {"data": b64(data)}
    id_ = clients.sandbox("send_message", phone=owner, to=newsletter, type="image", content=content)["id"]
    assert clients.expect(client="alice", event="message", id=id_)["data"] == b64(data)


def test_only_the_owner_of_a_newsletter_posts(clients: ClientProcess) -> None:
    newsletter = clients.sandbox("create_newsletter", phone=new_phone(clients), name="Theirs")["jid"]
    with pytest.raises(RuntimeError, match="error 403"):
        clients("send_any", "alice", to=newsletter, message={"conversation": "intruder"})
    assert posts(clients, newsletter) == []


# --- status posts ---------------------------------------------------------------------------


def test_a_clients_status_post_reaches_the_chosen(clients: ClientProcess) -> None:
    chosen, other = new_phone(clients), new_phone(clients)
    clients.sandbox("status_privacy", phone=ALICE, type="whitelist", phones=[chosen, BOB])
    try:
        sent = clients("send_any", "alice", to="status@broadcast", message={"extendedTextMessage": {"text": "I am"}})
    finally:
        clients.sandbox("status_privacy", phone=ALICE)
    shown = received(clients, chosen, sent["id"])
    assert (shown["chat"], shown["from"], shown["text"]) == ("status@broadcast", ALICE, "I am")
    assert clients.expect(client="bob", event="message", id=sent["id"])["chat"] == "status@broadcast"
    assert clients.sandbox("messages", phone=other)["results"] == []
    clients.sandbox("mark_read", phone=chosen, id=sent["id"])
    clients.expect(client="alice", event="receipt", ids=[sent["id"]], type="READ")


def test_a_clients_status_post_reaches_the_contacts_of_its_phone(clients: ClientProcess) -> None:
    kept, dropped = new_phone(clients), new_phone(clients)
    clients.sandbox("save_contacts", phone=BOB, contacts={kept: "Kept", dropped: "Dropped"})
    clients.sandbox("save_contacts", phone=BOB, contacts={dropped: "", kept: "Kept Well"})
    wait_until(lambda: clients("contact", "bob", jid=f"{kept}@s.whatsapp.net") == "Kept Well", "the name")
    sent = clients("send_any", "bob", to="status@broadcast", message={"extendedTextMessage": {"text": "I am"}})
    assert received(clients, kept, sent["id"])["from"] == BOB


def test_a_client_learns_the_newest_name_of_a_contact_when_it_is_linked(clients: ClientProcess) -> None:
    phone, renamed = new_phone(clients), new_phone(clients)
    clients.sandbox("save_contacts", phone=phone, contacts={renamed: "Before"})
    clients.sandbox("save_contacts", phone=phone, contacts={renamed: "Now"})
    clients.link("newcomer", phone)
    wait_until(lambda: clients("contact", "newcomer", jid=f"{renamed}@s.whatsapp.net") == "Now", "the newest name")


def test_a_phones_status_post_reaches_its_contacts_or_the_chosen(clients: ClientProcess) -> None:
    phone, other = new_phone(clients), new_phone(clients)
    clients.sandbox("save_contacts", phone=phone, contacts={ALICE: "Alice", other: "Other"})
    content = {"body": "mine"}
    first = clients.sandbox("send_message", phone=phone, to="status@broadcast", type="text", content=content)["id"]
    event = clients.expect(client="alice", event="message", id=first)
    assert (event["chat"], event["text"]) == ("status@broadcast", "mine")
    assert received(clients, other, first)["text"] == "mine"
    chosen = clients.sandbox(
        "send_message", phone=phone, to="status@broadcast", type="text", content=content, audience=[ALICE]
    )["id"]
    clients.expect(client="alice", event="message", id=chosen)
    assert [m["id"] for m in clients.sandbox("messages", phone=other)["results"]] == [first]


# --- groups ---------------------------------------------------------------------------------


def test_members_of_a_group_confirm_one_by_one(clients: ClientProcess) -> None:
    members = [new_phone(clients) for _ in range(3)]
    group = clients.sandbox("create_group", phone=members[0], subject="Team", members=[ALICE, *members[1:]])["jid"]
    id_ = clients("send", "alice", to=group, text="all")
    for member in members:
        received(clients, member, id_)
    clients.sandbox("mark_read", phone=members[1], id=id_)
    clients.sandbox("mark_read", phone=members[2], id=id_)
    clients.sandbox("mark_played", phone=members[2], id=id_)
    for kind, who in (("DELIVERED", members), ("READ", members[1:]), ("PLAYED", members[2:])):
        for member in who:
            clients.expect(client="alice", event="receipt", ids=[id_], type=kind, sender=lid(clients, member))


def test_a_group_can_be_joined_by_the_invitation_in_a_message(clients: ClientProcess) -> None:
    owner = new_phone(clients)
    group = clients.sandbox("create_group", phone=owner, subject="Club", members=[])["jid"]
    id_ = clients.sandbox("send_message", phone=owner, to=BOB, type="group_invite", content={"group": group})["id"]
    invite = clients.expect(client="bob", event="message", id=id_)["message"]["groupInviteMessage"]
    arguments = {"group": group, "inviter": f"{owner}@s.whatsapp.net"}
    with pytest.raises(RuntimeError):
        clients("join_by_invite", "bob", **arguments, code="wrong", expiration=0)
    expiration = int(invite["inviteExpiration"])
    clients("join_by_invite", "bob", **arguments, code=invite["inviteCode"], expiration=expiration)
    assert [m["phone"] for m in clients.sandbox("group", group=group)["members"]] == [owner, BOB]


def test_a_large_group_hears_a_client_and_a_phone(clients: ClientProcess) -> None:
    members = [new_phone(clients) for _ in range(80)]
    group = clients.sandbox("create_group", phone=members[0], subject="Crowd", members=[ALICE, *members[1:]])["jid"]
    first = clients("send", "alice", to=group, text="hello all")
    second = clients.sandbox("send_text", phone=members[0], to=group, text="hello too")["id"]
    clients.expect(client="alice", event="message", id=second)
    for member in members[1:]:
        wait_until(lambda member=member: len(clients.sandbox("messages", phone=member)["results"]) == 2)
        assert {m["id"] for m in clients.sandbox("messages", phone=member)["results"]} == {first, second}


def test_members_are_changed_by_admins_only(clients: ClientProcess) -> None:
    owner, member, guest = new_phone(clients), new_phone(clients), new_phone(clients)
    group = clients.sandbox("create_group", phone=owner, subject="Team", members=[member])["jid"]
    with pytest.raises(Refused, match="bad_arguments"):
        clients.sandbox("change_members", phone=member, group=group, action="add", members=[guest])
    clients.sandbox("change_members", phone=owner, group=group, action="promote", members=[member])
    clients.sandbox("change_members", phone=member, group=group, action="add", members=[guest])
    clients.sandbox("change_members", phone=member, group=group, action="remove", members=[owner])
    roles = [(m["phone"], m["role"]) for m in clients.sandbox("group", group=group)["members"]]
    assert roles == [(member, "admin"), (guest, None)]


# --- timers, typing -------------------------------------------------------------------------


def test_the_timer_of_a_chat_is_told_both_ways(clients: ClientProcess) -> None:
    phone = new_phone(clients)
    clients("set_timer", "alice", to=phone, seconds=86400)
    wait_until(lambda: clients.sandbox("messages", phone=phone)["results"])
    (shown,) = clients.sandbox("messages", phone=phone)["results"]
    assert (shown["type"], shown["disappearing"]) == ("disappearing", {"seconds": 86400})
    clients.sandbox("set_disappearing", phone=phone, to=ALICE, seconds=604800)
    sent = clients.sandbox("sent", phone=phone)["results"][-1]
    event = clients.expect(client="alice", event="message", id=sent["id"])
    assert event["message"]["protocolMessage"]["ephemeralExpiration"] == 604800
    group = clients.sandbox("create_group", phone=phone, subject="Team", members=[ALICE])["jid"]
    clients("set_timer", "alice", to=group, seconds=86400)
    assert clients.sandbox("group", group=group)["ephemeral"] == 86400


def test_typing_is_seen(clients: ClientProcess) -> None:
    phone, mark = new_phone(clients), len(clients.events)
    clients.sandbox("typing", phone=phone, to=ALICE, media="audio")
    clients.expect(mark, client="alice", event="ChatPresence")


def test_a_client_reads_several_messages_with_one_receipt(clients: ClientProcess) -> None:
    phone = new_phone(clients)
    ids = [clients.sandbox("send_text", phone=phone, to=ALICE, text=str(i))["id"] for i in range(3)]
    clients.expect(client="alice", event="message", id=ids[-1])
    chat = lid(clients, phone)
    clients("mark_read", "alice", chat=chat, sender=chat, ids=ids)

    def read() -> list[str]:
        return sorted(r["id"] for r in clients.sandbox("receipts", phone=phone) if r["type"] == "read")

    wait_until(lambda: read() == sorted(ids), "read receipts")
