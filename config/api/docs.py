"""``/api/schema`` and, for people, ``/api/docs``: Swagger UI, served from this machine alone."""

from __future__ import annotations

from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from config.api.openapi import document
from config.api.views import APIView


class SchemaView(APIView):
    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer)

    def get(self, request: Request) -> Response:
        return Response(document())


class DocsView(SpectacularSwaggerSplitView, APIView):
    authentication_classes = ()
    permission_classes = ()
    schema = None  # a page, no operation
    url_name = "schema"
