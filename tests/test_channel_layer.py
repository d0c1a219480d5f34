from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer
from pytest_django import Settings

from stack.paths import Paths
from stack.services import Valkey, running


async def test_a_socket_opens_though_redis_was_killed_while_there_was_none(tmp_path: Path, settings: Settings) -> None:
    paths = Paths.of({"VAR_DIR": str(tmp_path)})
    paths.create()
    log = tmp_path / "valkey.log"
    config: dict[str, Any] = settings.CHANNEL_LAYERS["default"]["CONFIG"]
    config |= {"hosts": [host | {"address": Valkey(paths).url} for host in config["hosts"]]}
    layer = RedisPubSubChannelLayer(**config)
    redis = running(Valkey(paths), log)
    await asyncio.to_thread(redis.__enter__)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "before"})
    assert await layer.receive(channel) == {"type": "before"}
    waiting = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)
    waiting.cancel()  # as the socket closes
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.to_thread(redis.__exit__, None, None, None)
    redis = running(Valkey(paths), log)
    await asyncio.to_thread(redis.__enter__)
    try:
        async with asyncio.timeout(20):
            channel = await layer.new_channel()
            await layer.group_add("events", channel)
            await layer.group_send("events", {"type": "after"})
            assert await layer.receive(channel) == {"type": "after"}
            await layer.flush()
    finally:
        await asyncio.to_thread(redis.__exit__, None, None, None)
        paths.forget_sockets()
