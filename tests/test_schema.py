"""The description of the API: complete, valid, and served."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
import yaml
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from config.api.openapi import document

# Pages for people.
NOT_DESCRIBED = {"/link", "/files/{token}", "/api/docs", "/account/", "/admin/", "/admin/login/"}


def _routes(resolver: URLResolver | None = None, prefix: str = "/") -> Iterator[tuple[str, Any]]:
    for pattern in (resolver or get_resolver()).url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path), pattern.callback
        elif path not in NOT_DESCRIBED:
            yield from _routes(pattern, path)


def test_every_method_of_every_route_is_described() -> None:
    missing = [
        f"{method} {path}"
        for path, view in _routes()
        if path not in NOT_DESCRIBED
        for method in (view.cls().allowed_methods if hasattr(view, "cls") else ["GET"])
        if method not in ("HEAD", "OPTIONS") and method.lower() not in document()["paths"].get(path, {})
    ]
    assert missing == [], "add them to OPERATIONS in the api/schema.py of their app, then run docs/generate.py"


def test_every_described_operation_has_a_summary_and_a_body_an_example() -> None:
    for path in document()["paths"].values():
        for operation in path.values():
            assert re.fullmatch(r"[A-Z].*[^.]", operation["summary"])
            if "requestBody" in operation:
                media = operation["requestBody"]["content"]["application/json"]
                examples = [one["value"] for one in media.get("examples", {}).values()] or [media["example"]]
                for example in examples:
                    assert _validator(media["schema"]).is_valid(example), (operation["operationId"], example)


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]})


def test_names_of_operations_are_unique() -> None:
    names = [operation["operationId"] for path in document()["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("accept", "query", "content_type"),
    [
        ("*/*", "", "application/json"),
        ("application/vnd.oai.openapi+json", "", "application/vnd.oai.openapi+json"),
        ("application/yaml", "", "application/yaml"),
        ("*/*", "?format=yaml", "application/yaml"),
    ],
)
def test_the_description_is_served_as_json_and_as_yaml(
    anonymous: APIClient, accept: str, query: str, content_type: str
) -> None:
    answer = anonymous.get(f"/api/schema{query}", headers={"Accept": accept})
    assert answer["Content-Type"].split(";")[0] == content_type
    loaded = json.loads(answer.content) if "json" in content_type else yaml.load(answer.content, yaml.CSafeLoader)
    assert loaded == document()


def test_the_page_of_the_docs_asks_nothing_of_other_machines(anonymous: APIClient) -> None:
    for url in ("/api/docs", "/api/docs?script="):
        text = anonymous.get(url).content.decode()
        assert re.findall(r"(?:https?:)?//[a-z]", text) == []
