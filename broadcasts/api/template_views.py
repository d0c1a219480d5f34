from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from broadcasts import access, templates, templating
from broadcasts.api.serializers import PreviewInput, TemplateChange, TemplateInput
from broadcasts.selectors import template_data
from config.api.pagination import Pages
from config.api.serializers import checked
from config.api.views import APIView


class TemplatesView(APIView):
    scopes = {"GET": "read", "POST": "send"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.templates(actor_of(request)), request, self) or []
        return pages.get_paginated_response([template_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        template = templates.create(actor=actor_of(request), **checked(TemplateInput, request))
        return Response(template_data(template), status=201)


class TemplateView(APIView):
    scopes = {"GET": "read", "PATCH": "send", "DELETE": "send"}

    def get(self, request: Request, template_id: str) -> Response:
        return Response(template_data(access.template(actor_of(request), template_id)))

    def patch(self, request: Request, template_id: str) -> Response:
        template = access.template(actor_of(request), template_id)
        return Response(template_data(templates.change(template=template, **checked(TemplateChange, request))))

    def delete(self, request: Request, template_id: str) -> Response:
        templates.delete(template=access.template(actor_of(request), template_id))
        return Response(status=204)


class PreviewView(APIView):
    scopes = {"POST": "read"}

    def post(self, request: Request, template_id: str) -> Response:
        template = access.template(actor_of(request), template_id)
        values = checked(PreviewInput, request).get("variables", {})
        return Response({"message": templating.preview(template.message, values)})
