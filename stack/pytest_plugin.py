"""Gives the tests a Valkey and, with ``--stack=postgres``, a PostgreSQL of their own.

REDIS_URL, or DATABASE_URL naming a PostgreSQL, use given servers instead. All of it lives in a temporary
VAR_DIR and is set before Django's settings are read, which a conftest.py would be too late for.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from stack.paths import Paths
from stack.services import Postgres, ServiceError, Valkey, running

_OURS = "WHATSAPP_API_TESTS_SET"  # the variables that were not given
_stop = contextlib.ExitStack()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stack")
    group.addoption("--part", help="with commas: apps, product (what starts all of it), kills (what kills it, too)")
    group.addoption(
        "--stack",
        choices=("sqlite", "postgres"),
        default="sqlite",
        help="the database under the tests: SQLite, or an embedded PostgreSQL (DATABASE_URL: a given one)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # Each process of pytest-xdist has a stack of its own; it inherits the environment of the one that started it,
    # which runs no tests.
    for name in os.environ.pop(_OURS, "").split():
        del os.environ[name]
    try:
        options = early_config.known_args_namespace
        starts_others = getattr(options, "numprocesses", None) and not os.environ.get("PYTEST_XDIST_WORKER")
        _start(options.stack, servers=not starts_others)
    except ServiceError as error:
        _stop.close()
        raise pytest.UsageError(str(error)) from error


def _start(stack: str, *, servers: bool) -> None:
    ours: list[str] = []
    var = Path(tempfile.mkdtemp(prefix="whatsapp-api-test-"))
    _stop.callback(shutil.rmtree, var, ignore_errors=True)
    paths = Paths.of({"VAR_DIR": str(var)})
    _stop.callback(paths.forget_sockets)
    paths.create()
    os.environ["VAR_DIR"], os.environ["RUN_DIR"] = str(var), str(paths.sockets)
    os.environ["ENV_FILE"] = os.devnull  # nobody's own settings change the outcome
    os.environ.setdefault("BCRYPT_ROUNDS", "4")  # each registration would otherwise take a quarter of a second
    for name in ("ANONYMOUS", "AUTH", "EMAIL", "USER", "ORGANIZATION"):
        os.environ[f"RATE_LIMIT_{name}"] = "1000000/m"  # all tests come from one address; some poll
    if not os.environ.get("REDIS_URL"):
        valkey = Valkey(paths)
        if servers:
            _stop.enter_context(running(valkey, paths.log / "valkey.log"))
        os.environ["REDIS_URL"] = valkey.url
        ours.append("REDIS_URL")
    if stack == "sqlite":
        os.environ["DATABASE_URL"] = f"sqlite:///{var / 'db.sqlite3'}"
    elif not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        postgres = Postgres(paths, durable=False)
        if servers:
            _stop.enter_context(running(postgres, paths.log / "postgres.log"))
        os.environ["DATABASE_URL"] = postgres.url()
        ours.append("DATABASE_URL")
    os.environ[_OURS] = " ".join(ours)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--part``, leave out what belongs to the other part, and what is to run with the other database only.

    What differs between the cases of a test is mostly what comes in, not what is asked of the database: PostgreSQL gets
    the first case of each of the apps' own tests, and all of what is marked ``every_case``.
    """
    part, stack = config.getoption("part"), config.getoption("stack")
    if part is None:
        return
    parts = part.split(",")
    left_out = {item for item in items if _part(item) not in parts or _database(item) not in ("", stack)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """What is there before the first test stays: the collector need not look at it again with each test."""
    gc.collect()
    gc.freeze()


def _part(item: pytest.Item) -> str:
    if item.get_closest_marker("end_to_end") or item.get_closest_marker("browser"):
        return "kills" if item.path.name.startswith("test_kills") else "product"
    return "apps"


def _database(item: pytest.Item) -> str:
    """The only database with which the test says something new; an empty text for each of them."""
    if marker := item.get_closest_marker("only_with"):
        return str(marker.args[0])
    fixtures = {"db", "transactional_db"} & set(getattr(item, "fixturenames", ()))
    touches = fixtures or item.get_closest_marker("django_db") or _part(item) != "apps"
    if _part(item) == "apps" and _is_further_case(item) and not item.get_closest_marker("every_case"):
        return "sqlite"
    return "" if touches else "sqlite"  # pytest-django keeps such a test from any database


def _is_further_case(item: pytest.Item) -> bool:
    cases = getattr(item, "callspec", None)
    return cases is not None and any(cases.indices.values())


def pytest_report_header(config: pytest.Config) -> str:
    return f"stack: {config.getoption('stack')}"


def pytest_unconfigure() -> None:
    _stop.close()
