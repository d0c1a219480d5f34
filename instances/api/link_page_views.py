"""What the link page asks for, with its token in place of credentials."""

from __future__ import annotations

from django.conf import settings
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.serializers import checked
from config.api.views import APIView
from config.timestamps import iso
from instances import access, linking
from instances.api.serializers import LinkPageInput, PairingCodeInput
from instances.models import LinkPage
from instances.pages.state import page_data


class InstanceLinkPageView(APIView):
    scopes = {"POST": "manage", "DELETE": "manage"}

    def post(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        page, token = linking.open_page(instance=instance, seconds=checked(LinkPageInput, request)["expires_in"])
        url = f"{settings.PUBLIC_URL}{reverse('link-page')}#{token}"
        return Response({"url": url, "expires_at": iso(page.expires_at)}, status=201)

    def delete(self, request: Request, instance_id: str) -> Response:
        linking.close_page(instance=access.instance(actor_of(request), instance_id))
        return Response(status=204)


class _ByToken(APIView):
    """For whoever has the address of a link page: nobody's role or scope is looked at."""

    authentication_classes = ()
    permission_classes = ()

    @staticmethod
    def page(request: Request) -> LinkPage:
        """Raises Problem ``invalid_link``."""
        return linking.page_of(request.headers.get("Authorization", "").removeprefix("Bearer "))


class LinkPageView(_ByToken):
    def get(self, request: Request) -> Response:
        return Response(page_data(self.page(request)))


class LinkPageStartView(_ByToken):
    rate_limits = ("auth",)

    def post(self, request: Request) -> Response:
        page = self.page(request)
        page.instance = linking.start_by_page(page=page)
        return Response(page_data(page), status=202)


class LinkPageCodeView(_ByToken):
    rate_limits = ("auth",)
    idempotency = "afterwards"  # a refusal is counted as well

    def post(self, request: Request) -> Response:
        page = self.page(request)
        page.instance = linking.code_by_page(page=page, **checked(PairingCodeInput, request))
        return Response(page_data(page), status=202)
