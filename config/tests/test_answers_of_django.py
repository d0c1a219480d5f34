"""Errors that no view of ours raises have the one shape as well."""

from __future__ import annotations

from typing import Any

import psycopg_pool
import pytest
import redis
from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.test import Client, override_settings
from django.urls import path
from pytest_django import Settings
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIClient

from config.api.exceptions import as_problem
from config.api.views import APIView
from conftest import Person, assert_problem

ERRORS: dict[str, Exception] = {
    "suspicious": SuspiciousOperation("x"),
    "missing": Http404(),
    "bug": RuntimeError("x"),
    "database": OperationalError("x"),
    "connection": InterfaceError("x"),
    "redis": redis.ConnectionError("x"),
    "cut-off": UnreadablePostError("x"),
}
EXPECTED = {
    "suspicious": (400, "invalid_request"),
    "missing": (404, "not_found"),
    "bug": (500, "internal_error"),
    "database": (503, "unavailable"),
    "connection": (503, "unavailable"),
    "redis": (503, "unavailable"),
    "cut-off": (400, "invalid_request"),
}


def plain(request: HttpRequest, name: str) -> HttpResponse:
    raise ERRORS[name]


class FrameworkView(APIView):
    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request, name: str) -> Response:
        raise ERRORS[name]


urlpatterns = [path("plain/<str:name>", plain), path("api/framework/<str:name>", FrameworkView.as_view())]
handler400 = "config.api.handlers.bad_request"
handler404 = "config.api.handlers.not_found"
handler500 = "config.api.handlers.server_error"


@pytest.mark.parametrize("folder", ["/plain", "/api/framework"])
@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_the_one_shape(name: str, folder: str) -> None:
    with override_settings(ROOT_URLCONF=__name__):
        answer = Client(raise_request_exception=False).get(f"{folder}/{name}")
    status, code = EXPECTED[name]
    assert_problem(answer, status, code)
    assert answer.json()["detail"] != "x"
    assert (status == 503) == ("Retry-After" in answer)


def test_an_empty_pool_of_connections_is_no_bug() -> None:
    wrapped = OperationalError()
    wrapped.__cause__ = psycopg_pool.PoolTimeout()
    problem = as_problem(wrapped)
    assert problem is not None
    assert problem.code == "unavailable"


def test_a_foreign_host_is_refused_but_for_probes(client: Client) -> None:
    assert_problem(client.get("/api/version", headers={"Host": "evil.example"}), 400, "host_not_allowed")
    assert client.get("/livez", headers={"Host": "10.1.2.3:8000"}).status_code == 200


@pytest.mark.parametrize("address", ["/nothing", "/api/nothing", "/api/instances/", "/admin/nothing"])
def test_a_page_that_is_not_there(client: Client, address: str) -> None:
    answer = client.get(address)
    if address.startswith("/admin"):
        assert answer.status_code in (302, 404)  # whoever is not logged in is not told
    else:
        assert_problem(answer, 404, "not_found")


@pytest.mark.parametrize(
    ("method", "address", "names"),
    [
        ("get", "/api/instances?color=red", ["/color"]),
        ("get", "/api/instances?limit=1&a~b/c=1&x=2", ["/a~0b~1c", "/x"]),
        ("post", "/api/instances?limit=1", ["/limit"]),
        ("head", "/api/instances?limit=1&format=json", []),
        ("get", "/api/instances?limit=1&format=json", []),
    ],
)
def test_a_parameter_that_is_not_known_is_refused(alice: Person, method: str, address: str, names: list[str]) -> None:
    answer: Any = getattr(alice.client, method)(address)
    if names:
        body = assert_problem(answer, 400, "unknown_parameter")
        assert [error["pointer"] for error in body["errors"]] == names
    else:
        assert answer.status_code == 200


def test_a_name_with_a_slash_is_escaped_in_a_pointer(alice: Person) -> None:
    answer = alice.client.post("/api/instances", {"a/b~c": 1}, format="json")
    assert "/a~1b~0c" in {error["pointer"] for error in answer.json()["errors"]}
    answer = alice.client.post("/api/messages", {"a/b": 1}, format="json")
    assert "/a~1b" in {error["pointer"] for error in answer.json()["errors"]}


# --- what browsers are told --------------------------------------------------------------------


def test_answers_are_not_kept_and_not_framed(alice: Person) -> None:
    answer = alice.client.get("/api/instances")
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["X-Frame-Options"] == "DENY"
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("address", ["/admin/login/", "/api/docs"])
def test_pages_run_no_script_but_our_own_files(client: Client, db: None, address: str) -> None:
    policy = client.get(address)["Content-Security-Policy"]
    sources = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    scripts = sources.get("script-src", sources["default-src"])
    assert "'unsafe-inline'" not in scripts
    assert ("'unsafe-eval'" in scripts) == address.startswith("/admin")


ORIGIN = "https://app.example.com"


def preflight(client: APIClient, address: str = "/api/messages") -> Any:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "idempotency-key"}
    return client.options(address, headers={"Origin": ORIGIN} | asked)


def test_pages_of_other_origins_are_shut_out(alice: Person) -> None:
    assert "Access-Control-Allow-Origin" not in preflight(APIClient())
    assert "Access-Control-Allow-Origin" not in alice.client.get("/api/instances", headers={"Origin": ORIGIN})


def test_pages_of_named_origins_may_call_the_api_without_cookies(alice: Person, settings: Settings) -> None:
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    asked = preflight(APIClient())
    assert asked.status_code == 200
    assert asked["Access-Control-Allow-Origin"] == ORIGIN
    assert "idempotency-key" in asked["Access-Control-Allow-Headers"]
    answer = alice.client.get("/api/instances", headers={"Origin": ORIGIN})
    assert "RateLimit" in answer["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer
    assert "Access-Control-Allow-Origin" not in APIClient().get("/livez", headers={"Origin": ORIGIN})
    assert "Access-Control-Allow-Origin" not in preflight(APIClient(), "/admin/login/")
