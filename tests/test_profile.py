"""A number's profile, its privacy and blocks, and what it learns of others: through the API and the real library."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stack.testing import RunningStack
from tests.product import Api, Control, Receiver, wait_for
from tests.test_every_type import encoded

PAGE = Path(__file__).resolve().parent.parent / "docs" / "profile.md"
pytestmark = [pytest.mark.end_to_end, pytest.mark.only_with("postgres")]


def change(api: Api, method: str, path: str, body: dict[str, Any] | None = None, expect: int = 200) -> Any:
    answer = api.http.request(method, f"/api{path}", json=body)
    assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


def test_a_number_shows_what_it_was_told_to_and_to_whom(
    stack: RunningStack, acme: Api, subtests: pytest.Subtests
) -> None:
    control, (instance, number) = Control(stack), acme.linked()
    path, carla = f"/instances/{instance}", acme.phone("Carla")
    with subtests.test("name and about"):
        wait_for(lambda: acme.get(f"{path}/profile")["name"] == "Acme", what="the first name")
        shown = change(acme, "PATCH", f"{path}/profile", {"name": "Acme Shop", "about": "Open till nine"})
        assert (shown["name"], shown["about"], shown["picture"]) == ("Acme Shop", "Open till nine", None)
        assert acme.get(f"{path}/profile") == shown
        wait_for(lambda: control("profile", phone=number)["name"] == "Acme Shop", what="the name at WhatsApp")
        assert control("profile", phone=number)["about"] == "Open till nine"
    with subtests.test("picture"):
        new = change(acme, "PUT", f"{path}/profile/picture", {"data": encoded()})
        picture = acme.get(f"{path}/profile")["picture"]
        assert picture["id"] == new["id"] == control("profile", phone=number)["picture"]
        assert change(acme, "DELETE", f"{path}/profile/picture", expect=501)["code"] == "unsupported_by_engine"
        refused = change(acme, "PUT", f"{path}/profile/picture", {"data": "aGVsbG8="}, expect=400)
        assert refused["errors"][0]["code"] == "media_type_not_allowed"
    with subtests.test("privacy"):
        wanted = {"last_seen": "contacts", "online": "match_last_seen", "calls": "known", "groups": "none"}
        settings = change(acme, "PATCH", f"{path}/privacy", wanted | {"disappearing_seconds": 86_400})
        assert settings == wanted | {"picture": "all", "about": "all", "read_receipts": "all"}
        assert acme.get(f"{path}/privacy") == settings
        found = control("profile", phone=number)
        assert (found["privacy"]["last"], found["disappearing_seconds"]) == ("contacts", 86_400)
    with subtests.test("blocks"):
        for _ in range(2):
            change(acme, "PUT", f"{path}/blocks/{carla}", expect=204)
        assert [one["phone"] for one in acme.get(f"{path}/blocks")["results"]] == [carla]
        assert control("profile", phone=number)["blocked"] == [carla]
        change(acme, "DELETE", f"{path}/blocks/{carla}", expect=204)
        assert acme.get(f"{path}/blocks") == {"results": []}
        assert change(acme, "PUT", f"{path}/blocks/4915799999999", expect=422)["code"] == "not_on_whatsapp"
    with subtests.test("contact link"):
        first = acme.get(f"{path}/contact-link")["url"]
        assert acme.get(f"{path}/contact-link")["url"] == first
        assert first == control("contact_link", phone=number)
        assert acme.post(f"{path}/contact-link/revoke", expect=200)["url"] != first


def test_a_number_learns_what_others_show(
    stack: RunningStack, acme: Api, owner: Api, receiver: Receiver, subtests: pytest.Subtests
) -> None:
    control, (instance, number) = Control(stack), acme.linked()
    carla, of = acme.phone("Carla"), {"instance": instance}
    with subtests.test("numbers"):
        control("set_profile", phone=carla, about="At sea", picture=encoded(), business_name="Carla's Boats")
        asked = {**of, "phones": [f"+{carla}", "+49 151 0000000", "hello", "99912345678"]}
        for _ in range(2):
            found = acme.post("/contacts/check", asked, expect=200)["results"]
            assert [one["exists"] for one in found] == [True, False, None, None]
            codes = [one["error"] and one["error"]["code"] for one in found]
            assert codes == [None, None, "invalid", "invalid_phone_number"]
            assert found[0]["jid"] == f"{carla}@s.whatsapp.net"
            assert found[0]["lid"] == control("phone", phone=carla)["lid"]
            assert found[0]["business_name"] == "Carla's Boats"
        assert [one["phone"] for one in acme.get("/contacts", **of, q="boats")["results"]] == [carla]
    with subtests.test("what a contact shows"):
        info = acme.get(f"/contacts/{carla}", **of)
        assert (info["about"], info["devices"], info["business_name"]) == ("At sea", 1, "Carla's Boats")
        assert acme.get(f"/contacts/{info['lid']}", **of)["phone"] == carla
        picture = acme.get(f"/contacts/{carla}/picture", **of)
        assert picture["id"] == info["picture_id"] == control("profile", phone=carla)["picture"]
        assert acme.get(f"/contacts/{carla}/picture", **of, preview="true")["id"] == picture["id"]
        assert acme.call("GET", "/contacts/4915799999999", 422, params=of)["code"] == "not_on_whatsapp"
    with subtests.test("what a contact hides"):
        dora = acme.phone("Dora")
        control("set_profile", phone=dora, about="Secret", picture=encoded())
        control("set_privacy", phone=dora, settings={"status": "none", "profile": "contacts"})
        assert acme.get(f"/contacts/{dora}", **of)["about"] is None
        assert acme.call("GET", f"/contacts/{dora}/picture", 404, params=of)["code"] == "not_found"
    with subtests.test("contact link"):
        link = control("contact_link", phone=carla)
        found = acme.post("/contacts/resolve-link", {**of, "link": link}, expect=200)
        assert (found["phone"], found["name"]) == (carla, "Carla")
        gone = acme.post("/contacts/resolve-link", {**of, "link": "https://wa.me/qr/AAAAAAAAAAAAAA"}, expect=404)
        assert gone["code"] == "not_found"
    with subtests.test("presence"):
        acme.post("/webhooks", {"url": receiver.url, "events": ["contact.presence"]})
        change(acme, "PUT", f"/instances/{instance}/presence", {"presence": "available"})
        assert acme.get(f"/contacts/{carla}/presence", **of)["presence"] == "unavailable"
        control("presence", phone=carla, online=True)
        events = [receiver.wait_for("contact.presence")[2]["data"] for _ in range(2)]
        assert [one["presence"] for one in events] == ["unavailable", "available"]
        assert events[1]["contact"]["phone"] == carla
        assert acme.get(f"/contacts/{carla}/presence", **of)["presence"] == "available"
    with subtests.test("our own presence"):
        seen = control("profile", phone=number)
        assert seen["online"] is True
        change(acme, "PUT", f"/instances/{instance}/presence", {"presence": "unavailable"})
        wait_for(lambda: control("profile", phone=number)["online"] is False, what="the end of our presence")


def test_the_commands_of_the_page_have_the_answers_of_the_page(
    stack: RunningStack, acme: Api, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    control, (instance, number) = Control(stack), acme.linked()
    carla = acme.phone("Carla")
    control("set_profile", phone=carla, about="At sea", picture=encoded())
    for online in (True, False):
        control("presence", phone=carla, online=online)
    link = control("contact_link", phone=carla).rpartition("/")[2]
    wait_for(lambda: acme.get(f"/instances/{instance}/profile")["name"], what="the first name")
    (tmp_path / "logo.jpg").write_bytes(base64.b64decode(encoded()))
    real = {"INSTANCE": instance, "KEY": acme.credential, "15550100002": carla, "CARLASLINK": link}
    real["http://127.0.0.1:8000"] = stack.address
    shown = {carla: "15550100002", number: "15550100001"}
    blocks = re.findall(r"```sh\n(.*?)```(?:\n\n```json\n(.*?)```)?", PAGE.read_text(), re.DOTALL)
    assert len(blocks) > 12
    for command, answer in blocks:
        with subtests.test(command.split("\n")[0]):
            line = filled(command, real)
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=True, cwd=tmp_path)  # noqa: S602
            assert as_example(done.stdout, shown) == (json.loads(answer) if answer else None)


def filled(command: str, real: dict[str, str]) -> str:
    for name, value in real.items():
        command = command.replace(name, value)
    return command


def as_example(answer: str, example: dict[str, str]) -> Any:
    """An answer with the numbers, ids and moments of the docs."""
    for value, shown in example.items():
        answer = answer.replace(value, shown)
    for pattern, shown in (
        (r"\d+@lid", "100000000000001@lid"),
        (r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "2026-11-23T09:30:00.000Z"),
        (r'"\d{10}"', '"1796148000"'),
        (r"https://127[^\"]*", "https://pps.whatsapp.net/v/t61.24694-24/picture.jpg"),
        (r"wa.me/qr/[A-Z0-9]{14}", "wa.me/qr/ABCDEFGHIJKLMN"),
    ):
        answer = re.sub(pattern, shown, answer)
    return json.loads(answer) if answer else None
