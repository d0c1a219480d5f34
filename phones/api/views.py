from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.pagination import Pages
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from instances import access as instance_access
from phones import access, services
from phones.api.serializers import CallInput, CodeInput, PhoneInput, ReceivedQuery, ScanInput, SendInput, phone_data


class SandboxView(APIView):
    idempotency = "afterwards"  # the network at the other end is another process


class PhonesView(SandboxView):
    scopes = {"GET": "read", "POST": "manage"}

    def get(self, request: Request) -> Response:
        pages = Pages()
        rows = pages.paginate_queryset(access.phones(actor_of(request)), request, self) or []
        return pages.get_paginated_response([phone_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        phone = services.create(actor=actor_of(request), **checked(PhoneInput, request))
        return Response(phone_data(phone), status=201)


class ScanView(SandboxView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, phone: str) -> Response:
        virtual_phone = access.phone(actor_of(request), phone)
        instance = instance_access.instance(actor_of(request), checked(ScanInput, request)["instance"])
        services.scan(phone=virtual_phone, instance=instance)
        return Response({"phone": virtual_phone.phone, "instance": instance.id}, status=202)


class EnterCodeView(SandboxView):
    scopes = {"POST": "manage"}

    def post(self, request: Request, phone: str) -> Response:
        virtual_phone = access.phone(actor_of(request), phone)
        services.enter_code(phone=virtual_phone, **checked(CodeInput, request))
        return Response({"phone": virtual_phone.phone}, status=202)


class PhoneMessagesView(SandboxView):
    scopes = {"GET": "read", "POST": "send"}

    def get(self, request: Request, phone: str) -> Response:
        virtual_phone = access.phone(actor_of(request), phone)
        query = checked_query(ReceivedQuery, request)
        return Response(services.received(phone=virtual_phone, **query))

    def post(self, request: Request, phone: str) -> Response:
        virtual_phone = access.phone(actor_of(request), phone)
        return Response(services.send(phone=virtual_phone, **checked(SendInput, request)), status=201)


class ReadView(SandboxView):
    scopes = {"POST": "send"}

    def post(self, request: Request, phone: str, message_id: str) -> Response:
        services.mark_read(phone=access.phone(actor_of(request), phone), message_id=message_id)
        return Response({"id": message_id, "status": "read"})


class PhoneCallsView(SandboxView):
    scopes = {"GET": "read", "POST": "send"}

    def get(self, request: Request, phone: str) -> Response:
        return Response({"results": services.calls(phone=access.phone(actor_of(request), phone))})

    def post(self, request: Request, phone: str) -> Response:
        virtual_phone = access.phone(actor_of(request), phone)
        return Response(services.ring(phone=virtual_phone, **checked(CallInput, request)), status=201)


class PhoneCallView(SandboxView):
    scopes = {"DELETE": "send"}

    def delete(self, request: Request, phone: str, call_id: str) -> Response:
        services.hang_up(phone=access.phone(actor_of(request), phone), call_id=call_id)
        return Response(status=204)
