"""The API as pages, for people who are logged in: every answer, and forms for what the person may do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rest_framework import renderers
from rest_framework.request import Request
from rest_framework.utils.formatting import markup_description

from config.api.operations import Operation, operation_of
from config.api.problems import Problem

if TYPE_CHECKING:
    from rest_framework.views import APIView  # noqa: TID251 (only a type)


def _operations(view: APIView) -> dict[str, Operation]:
    """The described ones, by method."""
    methods = [name for name in ("GET", "POST", "PUT", "PATCH", "DELETE") if hasattr(type(view), name.lower())]
    return {name: found for name in methods if (found := operation_of(type(view), name))}


def view_name(view: APIView) -> str:
    """VIEW_NAME_FUNCTION of the REST framework: what stands above a page and in its path."""
    operations = list(_operations(view).values())
    return operations[0].summary if operations else type(view).__name__


def view_description(view: APIView, html: bool = False) -> str:
    """VIEW_DESCRIPTION_FUNCTION of the REST framework."""
    operations = list(_operations(view).values())
    text = operations[0].description if operations else ""
    return markup_description(text) if html else text


class BrowsableAPIRenderer(renderers.BrowsableAPIRenderer):
    template = "config/api.html"

    def get_context(self, *arguments: Any) -> dict[str, Any]:
        # The colours for code come as a style inside the page, which the policy for pages would have to allow.
        return super().get_context(*arguments) | {"code_style": ""}

    def show_form_for_method(self, view: APIView, method: str, request: Request, obj: Any) -> bool:
        """False as well for what the caller's role, or a suspension, forbids."""
        try:
            return bool(super().show_form_for_method(view, method, request, obj))
        except Problem:
            return False

    def get_rendered_html_form(self, data: Any, view: APIView, method: str, request: Request) -> Any:
        return None if method == "OPTIONS" else super().get_rendered_html_form(data, view, method, request)

    def get_raw_data_form(self, data: Any, view: APIView, method: str, request: Request) -> Any:
        """The form starts with the example from the description."""
        form = super().get_raw_data_form(data, view, method, request)
        operation = _operations(view).get(method)
        if form is not None and operation is not None:
            form.fields["_content"].label = operation.summary
            form.fields["_content"].help_text = markup_description(operation.description)
            if operation.example is not None:
                form.initial["_content"] = json.dumps(operation.example, indent=4, ensure_ascii=False)
        return form
