"""Every error of the API: one shape (RFC 9457), one catalogue of codes.

Body: ``type``, ``title``, ``status``, ``code``, ``detail``, ``request_id`` and, for input errors,
``errors``: a list of ``{"pointer", "code", "detail"}`` with a JSON pointer into the request body.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from django.http import JsonResponse

from config.api.request_id import current_request_id

CONTENT_TYPE = "application/problem+json"

CATALOGUE: dict[str, tuple[int, str]] = {
    "malformed_json": (400, "The request body is not valid JSON"),
    "malformed_form": (400, "The request body is not a valid form"),
    "media_empty": (400, "The file is empty"),
    "invalid_request": (400, "The request is not valid"),
    "unknown_parameter": (400, "The address has a parameter that is not known"),
    "host_not_allowed": (400, "This host is not served here"),
    "invalid_cursor": (400, "The cursor is not valid"),
    "not_authenticated": (401, "Credentials are missing"),
    "invalid_credentials": (401, "The credentials are not valid"),
    "invalid_token": (401, "The token is not valid or has expired"),
    "subscription_expired": (402, "The subscription has expired"),
    "instance_limit_reached": (402, "The plan allows no more instances"),
    "permission_denied": (403, "You may not do this"),
    "missing_scope": (403, "The key does not have the scope"),
    "test_key_on_live": (403, "A test key cannot be used on a live instance"),
    "live_key_on_sandbox": (403, "A live key cannot be used on a sandbox instance"),
    "address_not_allowed": (403, "The key cannot be used from this address"),
    "organization_suspended": (403, "The organization is suspended"),
    "origin_not_allowed": (403, "Pages of this origin may not do this"),
    "csrf_failed": (403, "The CSRF check failed"),
    "not_found": (404, "There is no such object"),
    "method_not_allowed": (405, "The method is not allowed here"),
    "not_acceptable": (406, "None of the accepted formats can be served"),
    "email_taken": (409, "The e-mail address is already registered"),
    "last_owner": (409, "An organization needs an owner"),
    "too_many_organizations": (409, "The person owns as many organizations as one may own"),
    "too_many_invitations": (409, "The organization has as many open invitations as it may have"),
    "already_member": (409, "This person is a member already"),
    "already_invited": (409, "This address is invited already"),
    "key_ended": (409, "The key is revoked or has expired"),
    "not_a_person": (409, "The address is not that of a person"),
    "not_received": (409, "Only received messages can be marked as read"),
    "call_ended": (409, "The call does not ring any more"),
    "client_ref_taken": (409, "Another message has this client_ref"),
    "message_already_sent": (409, "The message cannot be cancelled any more"),
    "message_not_scheduled": (409, "The message is not scheduled"),
    "phone_taken": (409, "The phone number belongs to another sandbox"),
    "instance_not_linked": (409, "The instance is not linked to a WhatsApp number"),
    "instance_stopped": (409, "The instance is stopped"),
    "instance_unavailable": (409, "The instance cannot send in its state"),
    "instance_already_linked": (409, "The instance is already linked"),
    "logging_out": (409, "The link of the instance is being removed"),
    "number_in_use": (409, "The number is linked to another instance"),
    "number_taken": (409, "The number is linked elsewhere on this platform"),
    "link_page_ended": (409, "The link page has been used"),
    "no_qr": (409, "The instance shows no QR code now"),
    "no_pairing": (409, "Nothing waits to be linked"),
    "link_unfinished": (409, "The link is not finished yet"),
    "qr_expired": (409, "The QR code has expired"),
    "wrong_code": (409, "The pairing code is wrong"),
    "plan_too_small": (409, "The plan is too small for what is used"),
    "webhook_disabled": (409, "The webhook endpoint is disabled"),
    "too_many_webhooks": (409, "The organization has as many webhook endpoints as it may have"),
    "too_many_secrets": (409, "The webhook endpoint has as many older secrets as it may have"),
    "too_many_replays": (409, "The organization has as many running replays as it may have"),
    "template_name_taken": (409, "Another template has this name"),
    "broadcast_started": (409, "The broadcast takes no more recipients"),
    "broadcast_not_running": (409, "The broadcast cannot be paused, resumed or cancelled in its state"),
    "not_sent_yet": (409, "The message has not been sent yet"),
    "idempotency_key_in_use": (409, "A request with the same Idempotency-Key is still running"),
    "media_not_stored": (409, "The file is not there, not yet or not any more"),
    "media_not_fetchable": (409, "The file cannot be fetched again"),
    "length_required": (411, "The request needs a Content-Length"),
    "body_too_large": (413, "The request body is too large"),
    "unsupported_media_type": (415, "The content type is not supported"),
    "range_not_satisfiable": (416, "The file does not have the bytes that were asked for"),
    "media_unusable": (422, "The file cannot be used for this"),
    "not_on_whatsapp": (422, "The number is not on WhatsApp"),
    "phone_refused": (422, "The virtual phone cannot send this"),
    "no_recipients": (422, "The broadcast has no recipient that it may be sent to"),
    "message_not_found": (422, "The message that is named is not there"),
    "not_yours": (422, "The message is not yours"),
    "too_old": (422, "The message is too old"),
    "not_applicable": (422, "This cannot be done to the message"),
    "url_not_allowed": (422, "The URL leads to an address that is not allowed"),
    "invalid_link": (422, "The link is not valid, has expired or was used"),
    "idempotency_key_reused": (422, "The Idempotency-Key belongs to another request"),
    "media_quota_exceeded": (429, "The organization keeps as many bytes of files as it may"),
    "quota_exceeded": (429, "The quota of messages is used up"),
    "too_many_sockets": (429, "The organization has as many WebSockets open as it may have"),
    "too_many_links": (429, "The organization links as many numbers as it may at a time"),
    "too_many_codes": (429, "The link page has asked for as many pairing codes as it may"),
    "too_many_polls": (429, "As many requests wait for events as may"),
    "rate_limited": (429, "Too many requests"),
    "internal_error": (500, "Something went wrong on our side"),
    "unsupported_by_engine": (501, "The WhatsApp engine cannot do this"),
    "engine_failed": (502, "The WhatsApp engine could not do it"),
    "unavailable": (503, "The service is not available now"),
    "sandbox_unavailable": (503, "The sandbox network is not available now"),
    "linking_busy": (503, "As many numbers are being linked as the session workers can"),
    "instance_offline": (503, "The instance is not connected now"),
    "no_answer": (504, "The instance did not answer in time"),
}


class FieldError(NamedTuple):
    """What is wrong with one field; ``pointer`` is a JSON pointer such as ``/text/body``."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """An answer that is an error. ``code`` is a key of CATALOGUE and decides the status."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        self.code = code
        self.status, self.title = CATALOGUE[code]
        self.detail = detail or f"{self.title}."
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extensions = extensions
        super().__init__(self.detail)

    def body(self) -> dict[str, Any]:
        """The JSON object that the client gets."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": current_request_id(),
        }
        if self.errors:
            body["errors"] = [error._asdict() for error in self.errors]
        return body | self.extensions


def escaped(name: object) -> str:
    """A name as one step of a JSON pointer (RFC 6901)."""
    return str(name).replace("~", "~0").replace("/", "~1")


def problem_response(problem: Problem) -> JsonResponse:
    """The problem as a plain Django response, for places outside the REST framework."""
    response = JsonResponse(problem.body(), status=problem.status, content_type=CONTENT_TYPE)
    for name, value in problem.headers.items():
        response[name] = value
    return response


def invalid(pointer: str, code: str, detail: str) -> Problem:
    """A 400 that points at one field."""
    return Problem("invalid_request", detail, errors=[FieldError(pointer, code, detail)])
