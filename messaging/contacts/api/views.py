from __future__ import annotations

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.lines import LinesRenderer, lines
from config.api.problems import Problem
from config.api.serializers import checked_query
from config.api.views import APIView
from instances import access as instance_access
from instances.whatsapp.jids import InvalidJid, recipient
from messaging import access
from messaging.contacts import services
from messaging.contacts.api.serializers import ContactQuery
from messaging.contacts.selectors import Somebody, erasure_data, everything, is_person, somebody


def _asked_for(request: Request, contact: str) -> Somebody:
    instance = instance_access.instance(actor_of(request), checked_query(ContactQuery, request)["instance"])
    try:
        jid = recipient(contact)
    except InvalidJid as error:
        raise Problem("not_found", "This is neither a phone number nor a JID.") from error
    if not is_person(jid):
        raise Problem("not_a_person", "Name a phone number or an LID.")
    return somebody(instance, jid)


class ContactView(APIView):
    """``contact`` is a phone number, its JID, or an LID."""

    scopes = {"DELETE": "manage"}

    def delete(self, request: Request, contact: str) -> Response:
        erasure = services.erase(person=_asked_for(request, contact))
        return Response(erasure_data(erasure), status=202)


class ContactExportView(APIView):
    scopes = {"GET": "manage"}
    renderer_classes = (LinesRenderer,)

    def get(self, request: Request, contact: str) -> StreamingHttpResponse:
        return lines(everything(_asked_for(request, contact)))


class ErasureView(APIView):
    scopes = {"GET": "manage"}

    def get(self, request: Request, erasure_id: str) -> Response:
        return Response(erasure_data(access.erasure(actor_of(request), erasure_id)))
