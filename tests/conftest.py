from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from phones.tests.conftest import sandbox, sandbox_process
from stack.testing import RunningStack
from tests.product import Api, Receiver, opened, register

__all__ = ["sandbox", "sandbox_process"]


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The product, started once for all tests that leave it as they found it; a PostgreSQL is its own, to be killed.

    What a receiver of webhooks refuses is sent again sooner than it would be elsewhere. With SQLite it is as small as
    it can be.
    """
    environ = {"WEBHOOK_RETRY_SECONDS": "1,1,1,1,1,1,2,2,2,2,3,3,3,5,5,5"}
    if os.environ.get("DATABASE_URL", "").startswith("postgres"):
        environ["DATABASE_URL"] = "embedded"
    else:
        environ |= {"WEB_WORKERS": "1", "WHATSAPP_WORKERS": "0"}
    with RunningStack(environ) as stack:
        yield stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the product logged belongs to the report of a test that failed: its files are removed at the end."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(stack, RunningStack):
        report.sections.append(("complaints of the product's processes", stack.complaints()))
    return report


@pytest.fixture(autouse=True)
def _close_connections() -> Iterator[None]:
    yield
    while opened:
        opened.pop().close()


@pytest.fixture
def owner(stack: RunningStack) -> Api:
    """A new organization, acting with its owner's access token."""
    return register(stack.address)


@pytest.fixture
def acme(stack: RunningStack, owner: Api) -> Api:
    """The same organization, acting with a test key."""
    return Api(stack.address, owner.key())


@pytest.fixture
def charlie(stack: RunningStack) -> Api:
    """Another organization, acting with a test key."""
    return Api(stack.address, register(stack.address).key())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()
