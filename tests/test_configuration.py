"""No setting is read past the table in docs/configuration.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from config import env
from stack.options import SETTINGS

ROOT = Path(__file__).resolve().parent.parent
# No settings of an installation: guards against what libraries do by themselves, an import path, a parent's process id,
# the name of one of several processes of tests, and what the command line reads on its user's machine (docs/cli.md).
OTHERS = {"NEONIZE_BOT_TAG", "PROMETHEUS_MULTIPROC_DIR", "PYTEST_XDIST_WORKER", "PYTHONPATH", "STACK_PARENT"}
OTHERS |= {"WAGW_KEY", "WAGW_URL"}


def _names_read(source: ast.AST) -> Iterator[str]:
    """What a source takes out of ``os.environ``, by ``[]``, ``get``, ``pop`` or ``in``, and out of ``getenv``."""
    for node in ast.walk(source):
        match node:
            case (
                ast.Subscript(value=ast.Attribute(attr="environ"), slice=ast.Constant(value=str(name)), ctx=ast.Load())
                | ast.Call(
                    func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get" | "pop"),
                    args=[ast.Constant(value=str(name)), *_],
                )
                | ast.Call(func=ast.Attribute(attr="getenv"), args=[ast.Constant(value=str(name)), *_])
                | ast.Compare(left=ast.Constant(value=str(name)), comparators=[ast.Attribute(attr="environ")])
            ):
                yield name


def test_every_setting_that_is_read_is_declared() -> None:
    packages = [path.parent for path in ROOT.glob("*/__init__.py")]
    sources = [path for package in packages for path in package.rglob("*.py") if "tests" not in path.parts]
    read = {name for path in sources for name in _names_read(ast.parse(path.read_text()))}
    assert OTHERS - {"NEONIZE_BOT_TAG"} <= read
    assert read - OTHERS <= {variable.name for variable in env.VARIABLES} | SETTINGS.keys()


def test_no_variable_is_declared_twice() -> None:
    names = [variable.name for variable in env.VARIABLES] + list(SETTINGS)
    assert len(names) == len(set(names))
