"""``wagw send``, ``wagw trigger`` and ``wagw resend``."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any

import aiohttp

from wagw.client import Client, CommandError, Settings, connected

_OPEN = ("queued", "scheduled", "preparing", "held", "sending")
_BAD = ("failed", "unconfirmed", "cancelled")
_ASK_SECONDS = 0.3
MESSAGES = ("message.queued", "message.sent", "message.delivered", "message.read")


async def instance_of(client: Client, given: str | None) -> dict[str, Any]:
    """The instance that was named, or the only connected one. Raises CommandError."""
    if given:
        return dict(await client.call("GET", f"/instances/{given}"))
    found = [row async for row in client.pages("/instances") if row["state"] == "connected"]
    if len(found) != 1:
        raise CommandError(f"{len(found) or 'no'} instances are connected: name one with --instance", 2)
    return found[0]


# --- send -----------------------------------------------------------------------------------


async def send(settings: Settings, arguments: Any) -> None:
    """Prints the message as JSON, with ``--wait`` when it has left. Raises CommandError for one that did not."""
    async with connected(settings) as client:
        instance = await instance_of(client, arguments.instance)
        content = await _content(client, arguments)
        body = {"instance": instance["id"], "to": arguments.to, "type": arguments.type, arguments.type: content}
        message = await client.call("POST", "/messages", json=body)
        if arguments.wait:
            message = await _left(client, message["id"], arguments.wait)
    print(json.dumps(message, indent=2, ensure_ascii=False))
    if message["status"] in _BAD:
        raise CommandError(f"the message is {message['status']}")
    if arguments.wait and message["status"] in _OPEN:
        raise CommandError(f"the message is still {message['status']} after {arguments.wait:g} s")


async def _content(client: Client, arguments: Any) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if arguments.json is not None:
        try:
            given = json.loads(arguments.json)
        except ValueError as error:
            raise CommandError(f"--json is not JSON: {error}", 2) from error
        if not isinstance(given, dict):
            raise CommandError("--json is not an object", 2)
    if arguments.file is not None:
        given["id"] = await _upload(client, arguments.file)
    if arguments.text is not None:
        given["body" if arguments.type == "text" else "caption"] = arguments.text
    if not given:
        raise CommandError("there is nothing to send: give TEXT, --file or --json", 2)
    return given


async def _upload(client: Client, path: Path) -> str:
    try:
        with path.open("rb") as file:
            form = aiohttp.FormData()
            form.add_field("file", file, filename=path.name)
            return str((await client.call("POST", "/media", data=form))["id"])
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}", 2) from error


async def _left(client: Client, message_id: str, seconds: float) -> dict[str, Any]:
    """The message once it is not open any more, or as it is after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        message = dict(await client.call("GET", f"/messages/{message_id}"))
        if message["status"] not in _OPEN or time.monotonic() > deadline:
            return message
        await asyncio.sleep(_ASK_SECONDS)


# --- trigger --------------------------------------------------------------------------------


async def trigger(settings: Settings, arguments: Any) -> None:
    """See the command's ``--help``. Raises CommandError."""
    async with connected(settings) as client:
        if arguments.type == "message.received":
            await _receive(client, await _sandbox(client, arguments.instance))
        elif arguments.type in MESSAGES:
            await _exchange(client, await _sandbox(client, arguments.instance), arguments.type)
        else:
            await _test(client, arguments.type)


async def _sandbox(client: Client, given: str | None) -> dict[str, Any]:
    instance = await instance_of(client, given)
    if instance["network"] != "sandbox" or not instance["phone"]:
        raise CommandError(f"{instance['id']} has no number in the sandbox; real numbers are not made to do things")
    return instance


async def _phone(client: Client) -> str:
    """A virtual phone that is no instance's own number; made if there is none."""
    owned = {row["phone"] async for row in client.pages("/instances")}
    async for row in client.pages("/sandbox/phones"):
        if row["phone"] not in owned:
            return str(row["phone"])
    phone = f"1555{secrets.randbelow(10**7):07d}"
    return str((await client.call("POST", "/sandbox/phones", json={"phone": phone, "name": "wagw"}))["phone"])


async def _receive(client: Client, instance: dict[str, Any]) -> None:
    phone = await _phone(client)
    body = {"to": instance["phone"], "text": "Hello from wagw"}
    await client.call("POST", f"/sandbox/phones/{phone}/messages", json=body)
    print(f"{phone} wrote to {instance['id']}.")


async def _exchange(client: Client, instance: dict[str, Any], type_: str) -> None:
    phone = await _phone(client)
    body = {"instance": instance["id"], "to": phone, "type": "text", "text": {"body": "Hello from wagw"}}
    message = await client.call("POST", "/messages", json=body)
    print(f"{instance['id']} wrote {message['id']} to {phone}.")
    if type_ == "message.read":
        await _left(client, message["id"], 30)
        page = await client.call("GET", f"/sandbox/phones/{phone}/messages")
        while page["next"] is not None:
            page = await client.call("GET", f"/sandbox/phones/{phone}/messages", params={"after": page["next"]})
        newest = [one for one in page["results"] if not one["from_me"]][-1]
        await client.call("POST", f"/sandbox/phones/{phone}/messages/{newest['id']}/read")
        print(f"{phone} read it.")


async def _test(client: Client, type_: str) -> None:
    sent = 0
    async for endpoint in client.pages("/webhooks"):
        if endpoint["enabled"]:
            body = {} if type_ == "webhook.test" else {"type": type_}
            delivery = await client.call("POST", f"/webhooks/{endpoint['id']}/test", json=body)
            print(f"{delivery['id']} with a {delivery['event']['type']} goes to {endpoint['url']}.")
            sent += 1
    if not sent:
        raise CommandError("there is no enabled webhook endpoint that a test event could go to")


async def resend(settings: Settings, arguments: Any) -> None:
    async with connected(settings) as client:
        delivery = await client.call("POST", f"/deliveries/{arguments.delivery}/resend")
    print(f"{delivery['id']} is {delivery['state']}.")
