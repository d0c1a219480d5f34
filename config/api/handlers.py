"""What Django answers with where no view of the REST framework is reached: the one problem shape as well."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.http import HttpRequest, JsonResponse

from config.api.exceptions import as_problem
from config.api.problems import Problem, problem_response


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    if isinstance(exception, RequestDataTooBig):
        return problem_response(Problem("body_too_large"))
    bad_host = isinstance(exception, DisallowedHost)
    return problem_response(Problem("host_not_allowed" if bad_host else "invalid_request"))


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return problem_response(Problem("permission_denied"))


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return problem_response(Problem("not_found", "There is no such page or object."))


def server_error(request: HttpRequest) -> JsonResponse:
    """Called while the exception is handled, which Django does not hand over."""
    error = sys.exc_info()[1]
    problem = as_problem(error) if isinstance(error, Exception) else None
    return problem_response(problem or Problem("internal_error"))


def csrf_failure(request: HttpRequest, reason: str = "") -> JsonResponse:
    return problem_response(Problem("csrf_failed"))
