from __future__ import annotations

from datetime import timedelta

from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access, api_keys
from accounts.api.serializers import KeyChange, KeyInput, RotateInput, key_data
from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.serializers import checked
from config.api.views import APIView


class KeysView(APIView):
    scopes = {"GET": "keys", "POST": "keys"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.keys(actor_of(request)), request, self) or []
        return pages.get_paginated_response([key_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        row, key = api_keys.create_key(actor=actor_of(request), **checked(KeyInput, request))
        return Response(key_data(row) | {"key": key}, status=201)


class KeyView(APIView):
    scopes = {"GET": "keys", "PATCH": "keys", "DELETE": "keys"}
    while_suspended = {"DELETE"}

    def get(self, request: Request, key_id: str) -> Response:
        return Response(key_data(access.key(actor_of(request), key_id)))

    def patch(self, request: Request, key_id: str) -> Response:
        key = access.key(actor_of(request), key_id)
        return Response(key_data(api_keys.rename_key(key=key, **checked(KeyChange, request))))

    def delete(self, request: Request, key_id: str) -> Response:
        api_keys.revoke_key(key=access.key(actor_of(request), key_id))
        return Response(status=204)


class RotateKeyView(APIView):
    scopes = {"POST": "keys"}

    def post(self, request: Request, key_id: str) -> Response:
        actor = actor_of(request)
        overlap = timedelta(seconds=checked(RotateInput, request)["overlap_seconds"])
        row, key = api_keys.rotate_key(actor=actor, key=access.key(actor, key_id), overlap=overlap)
        return Response(key_data(row) | {"key": key}, status=201)
