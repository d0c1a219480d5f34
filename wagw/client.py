"""The REST API as the commands use it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=60)


class CommandError(Exception):
    """What is told in one line; ``code`` is the exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Settings:
    url: str
    key: str


class Client:
    def __init__(self, settings: Settings, session: aiohttp.ClientSession) -> None:
        self.url = settings.url.rstrip("/")
        self.session = session

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of an answer. Raises CommandError with the words of the problem, or when nothing answers."""
        try:
            async with self.session.request(method, f"{self.url}/api{path}", timeout=PATIENCE, **options) as answer:
                body = await answer.json(content_type=None) if await answer.read() else None
                if answer.status >= 400:
                    raise CommandError(told(answer.status, body))
                return body
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise CommandError(f"{self.url} does not answer as it should: {words(error)}") from error

    async def pages(self, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """The objects of a list."""
        page = await self.call("GET", path, params={"limit": "100", **query})
        while True:
            for row in page["results"]:
                yield row
            if page["next"] is None:
                return
            cursor = page["next"].partition("/api")[2]
            page = await self.call("GET", cursor)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {settings.key}", "User-Agent": "wagw"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(settings, session)


def told(status: int, problem: Any) -> str:
    """A problem of the API in one line."""
    if not isinstance(problem, Mapping) or "code" not in problem:
        return f"the answer was {status}"
    errors = [f"{one['pointer']}: {one['detail']}" for one in problem.get("errors", ())]
    return f"{problem['code']}: {' '.join([str(problem.get('detail', '')), *errors])}".rstrip()


def words(error: BaseException) -> str:
    return str(error) or type(error).__name__
