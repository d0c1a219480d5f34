from __future__ import annotations

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.browsable import BrowsableAPIRenderer
from config.api.pagination import Pages
from config.api.problems import Problem
from config.api.renderers import JSONRenderer
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from config.timestamps import iso
from instances import access, linking, removal, selectors, services
from instances.api.renderers import PngRenderer, SvgRenderer, TerminalRenderer
from instances.api.serializers import InstanceChange, InstanceInput, InstancesQuery, PairingCodeInput
from instances.history import change_data
from instances.selectors import answer, answers


class InstancesView(APIView):
    scopes = {"GET": "read", "POST": "manage"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        found = selectors.filtered(access.instances(actor_of(request)), **checked_query(InstancesQuery, request))
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response(answers(rows))

    def post(self, request: Request) -> Response:
        instance = services.create(actor=actor_of(request), **checked(InstanceInput, request))
        return Response(answer(instance), status=201)


class InstanceView(APIView):
    scopes = {"GET": "read", "PATCH": "manage", "DELETE": "manage"}

    def get(self, request: Request, instance_id: str) -> Response:
        return Response(answer(access.instance(actor_of(request), instance_id)))

    def patch(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        return Response(answer(services.update(instance=instance, **checked(InstanceChange, request))))

    def delete(self, request: Request, instance_id: str) -> Response:
        removal.delete(instance=access.instance(actor_of(request), instance_id))
        return Response(status=204)


class ConnectView(APIView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, instance_id: str) -> Response:
        instance = services.connect(instance=access.instance(actor_of(request), instance_id))
        return Response(answer(instance), status=202)


class StopView(APIView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, instance_id: str) -> Response:
        instance = services.stop(instance=access.instance(actor_of(request), instance_id))
        return Response(answer(instance), status=202)


class RestartView(APIView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, instance_id: str) -> Response:
        instance = services.restart(instance=access.instance(actor_of(request), instance_id))
        return Response(answer(instance), status=202)


class InstanceLogoutView(APIView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, instance_id: str) -> Response:
        instance = services.log_out(instance=access.instance(actor_of(request), instance_id))
        return Response(answer(instance), status=202)


class HistoryView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, instance_id: str) -> Response:
        instance, pages = access.instance(actor_of(request), instance_id), Pages()
        rows = pages.paginate_queryset(instance.history.all(), request, self) or []
        return pages.get_paginated_response([change_data(row) for row in rows])


class LinkingView(APIView):
    scopes = {"DELETE": "manage"}

    def delete(self, request: Request, instance_id: str) -> Response:
        instance = linking.cancel(instance=access.instance(actor_of(request), instance_id))
        return Response(answer(instance), status=202)


class QrView(APIView):
    """The current code: JSON, or by ``Accept`` or ``?format=`` png, svg or text for a terminal."""

    scopes = {"GET": "manage"}
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, PngRenderer, SvgRenderer, TerminalRenderer)

    def get(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        if instance.qr_code is None or (instance.qr_expires_at or timezone.now()) <= timezone.now():
            raise Problem("no_qr", f"The instance is {instance.state}; a code shows while it is linking.")
        data = {"code": instance.qr_code, "expires_at": iso(instance.qr_expires_at)}
        return Response(data, headers={"Cache-Control": "no-store"})


class PairingCodeView(APIView):
    scopes = {"GET": "manage", "POST": "manage"}

    def get(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        return Response({"phone": instance.link_phone, "code": instance.pairing_code})

    def post(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        instance = linking.request_pairing_code(instance=instance, **checked(PairingCodeInput, request))
        return Response({"phone": instance.link_phone, "code": instance.pairing_code}, status=202)
