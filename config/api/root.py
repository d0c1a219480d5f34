from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from config.api.caller import caller_of
from config.api.openapi import entry_points
from config.api.views import APIView


class RootView(APIView):
    permission_classes = ()

    def get(self, request: Request) -> Response:
        caller = caller_of(request)
        may = caller.scopes if caller else frozenset()
        routes = [
            {"url": request.build_absolute_uri(entry.path), "title": entry.title}
            for entry in entry_points()
            if entry.scope is None or entry.scope in may
        ]
        return Response({"routes": routes})
