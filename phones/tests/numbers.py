"""Numbers that no other test uses: the sandbox network of a test run outlives the tests."""

from __future__ import annotations

import itertools

_numbers = itertools.count(15550300001)


def new_number() -> str:
    return str(next(_numbers))
