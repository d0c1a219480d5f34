from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.options import parse


def test_without_arguments_everything_has_a_size() -> None:
    options = parse([])
    assert options.output == Path("var/bench.json")
    assert (options.database, options.connections, options.numbers) == ("sqlite", (1, 16), (1, 20, 100))


def test_quick_is_smaller_and_an_explicit_size_still_counts() -> None:
    options, quick = parse([]), parse(["--quick", "--messages", "7", "elsewhere.json"])
    assert quick.messages == 7
    assert quick.events < options.events
    assert quick.output == Path("elsewhere.json")


def test_numbers_are_sorted_and_begin_with_one_since_the_slope_needs_it() -> None:
    assert parse(["--numbers", "9,3,9"]).numbers == (1, 3, 9)


@pytest.mark.parametrize(
    "arguments", [["--messages", "0"], ["--messages", "many"], ["--numbers", "1,,2"], ["--stack", "x"]]
)
def test_a_size_that_cannot_be_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(arguments)
    assert arguments[0] in capsys.readouterr().err
