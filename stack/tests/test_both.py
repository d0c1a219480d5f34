from __future__ import annotations

import re
from pathlib import Path

import pytest

from stack import both

ROOT = Path(both.__file__).parents[1]
# Without Django, which none of these tests needs.
SETTINGS = """
[pytest]
addopts = -p no:django -p no:asyncio -p no:schemathesis -p no:hypothesispytest -p stack.pytest_plugin
markers =
    end_to_end
    only_with(database)
    every_case
"""
TESTS = """
import pytest

@pytest.mark.end_to_end
def test_of_the_product(request):
    assert "product" in request.config.getoption("part")

def test_of_an_app(request):
    assert (request.config.getoption("part"), request.config.getoption("stack")) == ("apps", "sqlite")

@pytest.fixture
def db():
    pass

@pytest.mark.parametrize("case", range(3))
def test_some_cases(db, request, case):
    assert case == 0 or request.config.getoption("stack") == "sqlite"

@pytest.mark.every_case
@pytest.mark.parametrize("case", range(2))
def test_all_cases(db, case):
    pass

@pytest.mark.only_with("postgres")
def test_that_fails():
    raise ValueError
"""


@pytest.mark.only_with("sqlite")
@pytest.mark.end_to_end  # it starts what the tests need five times
def test_each_test_runs_where_it_belongs_and_one_failure_is_one_of_all(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WHATSAPP_API_TESTS_SET", raising=False)
    monkeypatch.setenv("REDIS_URL", "redis://not-used")  # what is given is not started
    monkeypatch.setenv("DATABASE_URL", "postgres:///not-used")
    path = tmp_path / "test_made_up.py"
    path.write_text(TESTS)
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    assert both.main(["-n0", f"-c={tmp_path / 'pytest.ini'}", str(path)]) == 1
    said = capfd.readouterr().out
    assert said.count("\n##### ") == 6
    assert "\n##### the end of apps with postgres\n" in said
    assert "test_made_up.py::test_that_fails" in said.rpartition("##### the end of")[2]
    assert "1 failed, 3 passed, 4 deselected" in said  # of the cases PostgreSQL gets the first
    assert said.endswith(
        "apps with postgres: FAILED (1)\napps with sqlite: passed\nkills with postgres: has none of these tests\n"
        "product with postgres: passed\nproduct,kills with sqlite: passed\n"
    )


def test_those_of_the_whole_product_are_where_they_are_looked_for(pytestconfig: pytest.Config) -> None:
    marked = {
        room
        for room in pytestconfig.getini("testpaths")
        for path in (ROOT / room).rglob("test_*.py")
        if re.search(r"mark\.(end_to_end|browser)\b", path.read_text())
    }
    assert marked == set(both.PRODUCT)
