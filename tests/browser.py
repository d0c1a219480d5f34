"""A real Chromium for tests: BROWSER, or what ``make test`` has installed, or a Chromium or Chrome on PATH."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

T = TypeVar("T")
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
_INSTALLED = Path(sys.prefix) / "chromium"
_TIMEOUT_MS = 60_000  # a description of a megabyte takes a busy machine ten seconds to show


def _executable() -> tuple[str, dict[str, str]] | None:
    """The browser, and what it needs in its environment."""
    if os.environ.get("BROWSER"):
        return os.environ["BROWSER"], {}
    if (_INSTALLED / "chromium").exists():
        libraries, fonts = _INSTALLED / "al2023" / "lib", _INSTALLED / "fonts"
        return str(_INSTALLED / "chromium"), {"LD_LIBRARY_PATH": str(libraries), "FONTCONFIG_PATH": str(fonts)}
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return (found, {}) if found else None


@contextlib.contextmanager
def running() -> Iterator[Windows]:
    """Skips the test where there is no browser, except in CI, where that is a failure."""
    found = _executable()
    if found is None:
        message = "There is no browser: install Chromium, or name one in BROWSER."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    executable, environ = found
    # The driver runs an event loop, beside which Django would refuse to touch the database: it has its own thread.
    with ThreadPoolExecutor(1) as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        # Chromium's own sandbox needs rights that containers lack; it sees pages of ours only.
        options: dict[str, Any] = {"args": ["--no-sandbox"], "env": {**os.environ, **environ}}
        try:
            launch = playwright.chromium.launch
            browser = thread.submit(launch, executable_path=executable, **options).result()
            yield Windows(browser, thread)
            thread.submit(browser.close).result()
        finally:
            thread.submit(playwright.stop).result()


class Windows:
    """A browser that opens windows, each without cookies of another."""

    def __init__(self, browser: Browser, thread: ThreadPoolExecutor) -> None:
        self._browser, self.thread = browser, thread

    def open(self, address: str, **options: Any) -> Window:
        """A window whose paths begin at an address; options as for playwright's ``new_context``."""
        return self.thread.submit(
            lambda: Window(self, address, self._browser.new_context(base_url=address, **options))
        ).result()


class Window:
    """One window, and what its pages complained of: errors, refusals of the CSP, requests to other machines."""

    def __init__(self, windows: Windows, address: str, context: Any) -> None:
        self._windows, self._address, self._context = windows, address, context
        self.complaints: list[str] = []
        context.set_default_timeout(_TIMEOUT_MS)
        expect.set_options(timeout=_TIMEOUT_MS)
        self._page: Page = context.new_page()
        self._page.on("console", self._heard)
        self._page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self._page.on("request", self._requested)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type} at {self._page.url}: {message.text}")

    def _requested(self, request: Any) -> None:
        if not request.url.startswith((f"{self._address}/", "data:", "blob:")):
            self.complaints.append(f"request to {request.url}")

    def do(self, steps: Callable[[Page], T]) -> T:
        """Do something with the page, in the browser's thread."""
        return self._windows.thread.submit(steps, self._page).result()

    def open(self, path: str) -> None:
        """Go there and wait until it is loaded. The page has to fit into the window."""
        self.do(lambda page: self._open(page, path))

    @staticmethod
    def _open(page: Page, path: str) -> None:
        answer = page.goto(path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider == 0, f"{path} is {wider} px too wide"

    def close(self) -> None:
        self._windows.thread.submit(self._context.close).result()
