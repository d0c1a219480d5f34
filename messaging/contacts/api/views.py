from __future__ import annotations

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.lines import LinesRenderer, lines
from config.api.pagination import Pages
from config.api.problems import Problem
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from instances import access as instance_access
from instances.models import Instance
from instances.whatsapp.jids import InvalidJid, recipient
from messaging import access
from messaging.contacts import asking, services
from messaging.contacts.api.serializers import CheckInput, ContactQuery, ContactsQuery, LinkInput, PictureQuery
from messaging.contacts.selectors import (
    Somebody,
    contact_data,
    erasure_data,
    everything,
    is_person,
    listed,
    somebody,
)


def _asked_for(request: Request, contact: str, query: type[ContactQuery] = ContactQuery) -> Somebody:
    """Raises Problem ``not_found``, ``not_a_person``, and like `instances.access.instance`."""
    return named(instance_access.instance(actor_of(request), checked_query(query, request)["instance"]), contact)


def named(instance: Instance, contact: str) -> Somebody:
    """Whom a part of an address names. Raises Problem ``not_found``, ``not_a_person``."""
    try:
        jid = recipient(contact)
    except InvalidJid as error:
        raise Problem("not_found", "This is neither a phone number nor a JID.") from error
    if not is_person(jid):
        raise Problem("not_a_person", "Name a phone number or an LID.")
    return somebody(instance, jid)


class ContactsView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        query, pages = checked_query(ContactsQuery, request), Pages()
        instance = instance_access.instance(actor_of(request), query["instance"])
        rows = pages.paginate_queryset(listed(instance, query.get("q", "")), request, self) or []
        return pages.get_paginated_response([contact_data(row) for row in rows])


class CheckView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request) -> Response:
        wanted = checked(CheckInput, request)
        instance = instance_access.instance(actor_of(request), wanted["instance"])
        return Response({"results": asking.check(instance=instance, phones=wanted["phones"], again=wanted["again"])})


class ResolveLinkView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"

    def post(self, request: Request) -> Response:
        wanted = checked(LinkInput, request)
        instance = instance_access.instance(actor_of(request), wanted["instance"])
        return Response(asking.resolve(instance=instance, link=wanted["link"]))


class ContactView(APIView):
    """``contact`` is a phone number, its JID, or an LID."""

    scopes = {"GET": "read", "DELETE": "manage"}

    def get(self, request: Request, contact: str) -> Response:
        return Response(asking.info(_asked_for(request, contact)))

    def delete(self, request: Request, contact: str) -> Response:
        erasure = services.erase(person=_asked_for(request, contact))
        return Response(erasure_data(erasure), status=202)


class ContactPictureView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, contact: str) -> Response:
        preview = checked_query(PictureQuery, request)["preview"]
        return Response(asking.picture(_asked_for(request, contact, PictureQuery), preview=preview))


class ContactPresenceView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, contact: str) -> Response:
        return Response(asking.presence(_asked_for(request, contact)))


class ContactExportView(APIView):
    scopes = {"GET": "manage"}
    renderer_classes = (LinesRenderer,)

    def get(self, request: Request, contact: str) -> StreamingHttpResponse:
        return lines(everything(_asked_for(request, contact)))


class ErasureView(APIView):
    scopes = {"GET": "manage"}

    def get(self, request: Request, erasure_id: str) -> Response:
        return Response(erasure_data(access.erasure(actor_of(request), erasure_id)))
