from __future__ import annotations

import ast
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from django.conf import settings

from config.api.problems import CATALOGUE

BASE = Path(settings.BASE_DIR)
APPS = ["config", *(app for app in settings.INSTALLED_APPS if (BASE / app).is_dir())]


def _texts(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _used(source: ast.AST) -> Iterator[str]:
    """The codes that a source names: as the first argument of Problem, in the table of exceptions, or as
    a key of _DETAILS."""
    for node in ast.walk(source):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
            first = node.args[0]
            yield from _texts(first) if isinstance(first, ast.Constant) else ()
            if isinstance(first, ast.IfExp):
                yield from _texts(first.body) | _texts(first.orelse)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_CODES":
            yield from _texts(node.value)
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_DETAILS":
            yield from (key.value for key in getattr(node.value, "keys", []))


def _sources() -> Iterator[Path]:
    for app in APPS:
        yield from (path for path in (BASE / app).rglob("*.py") if "tests" not in path.parts)


def _of_the_sandbox() -> set[str]:
    """The sandbox's own codes, which are handed on if the catalogue has them."""
    return _texts(ast.parse((BASE / "sandbox" / "errors.py").read_text()))


def test_the_catalogue_has_every_code_that_is_used_and_no_other() -> None:
    used = {code for path in _sources() for code in _used(ast.parse(path.read_text()))}
    assert used <= CATALOGUE.keys()
    assert CATALOGUE.keys() - used <= _of_the_sandbox()


def test_every_code_stands_for_an_http_error_and_has_a_title() -> None:
    for code, (status, title) in CATALOGUE.items():
        assert code.replace("_", "").isalpha()
        assert code.islower()
        assert HTTPStatus(status) >= HTTPStatus.BAD_REQUEST
        assert title[0].isupper()
        assert not title.endswith(".")
