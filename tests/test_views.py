"""No view goes past the base class that brings the API's manners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from config.api.views import APIView


def _views(patterns: list[Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and route.startswith("api/"):
            yield route, getattr(pattern.callback, "view_class", None)


def test_every_view_that_takes_a_post_brings_the_manners() -> None:
    views = list(_views(get_resolver().url_patterns))
    assert len(views) > 15
    strangers = [route for route, view in views if hasattr(view, "post") and not issubclass(view, APIView)]
    assert strangers == []
