from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actor import Actor
from accounts.permissions import actor_of
from config.api.serializers import checked
from config.api.views import APIView
from instances import access
from media import access as media_access
from media import services as media_services
from media.models import Media
from messaging.contacts.api.views import named
from messaging.profile import services
from messaging.profile.api.serializers import PictureInput, PresenceInput, PrivacyChange, ProfileChange


class ProfileView(APIView):
    scopes = {"GET": "read", "PATCH": "manage"}

    def get(self, request: Request, instance_id: str) -> Response:
        return Response(services.profile(instance=access.instance(actor_of(request), instance_id)))

    def patch(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        return Response(services.set_profile(instance=instance, **checked(ProfileChange, request)))


class ProfilePictureView(APIView):
    scopes = {"PUT": "manage", "DELETE": "manage"}

    def put(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        given = checked(PictureInput, request)
        media = _file(actor_of(request), **given)
        return Response(services.set_picture(instance=instance, media=media, field=next(iter(given))))

    def delete(self, request: Request, instance_id: str) -> Response:
        services.remove_picture(instance=access.instance(actor_of(request), instance_id))
        return Response(status=204)


def _file(actor: Actor, id: str | None = None, data: str | None = None) -> Media:
    if id is not None:
        return media_access.one(actor, id)
    return media_services.store_data(actor=actor, data=data or "")


class PresenceView(APIView):
    scopes = {"PUT": "send"}

    def put(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        return Response(services.set_presence(instance=instance, **checked(PresenceInput, request)))


class PrivacyView(APIView):
    scopes = {"GET": "read", "PATCH": "manage"}

    def get(self, request: Request, instance_id: str) -> Response:
        return Response(services.privacy(instance=access.instance(actor_of(request), instance_id)))

    def patch(self, request: Request, instance_id: str) -> Response:
        instance = access.instance(actor_of(request), instance_id)
        wanted = checked(PrivacyChange, request)
        seconds = wanted.pop("disappearing_seconds", None)
        return Response(services.set_privacy(instance=instance, settings=wanted, disappearing_seconds=seconds))


class BlocksView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, instance_id: str) -> Response:
        return Response({"results": services.blocks(instance=access.instance(actor_of(request), instance_id))})


class BlockView(APIView):
    scopes = {"PUT": "send", "DELETE": "send"}

    def put(self, request: Request, instance_id: str, contact: str) -> Response:
        services.block(who=named(access.instance(actor_of(request), instance_id), contact), blocked=True)
        return Response(status=204)

    def delete(self, request: Request, instance_id: str, contact: str) -> Response:
        services.block(who=named(access.instance(actor_of(request), instance_id), contact), blocked=False)
        return Response(status=204)


class ContactLinkView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, instance_id: str) -> Response:
        return Response(services.contact_link(instance=access.instance(actor_of(request), instance_id)))


class RevokeContactLinkView(APIView):
    scopes = {"POST": "manage"}
    idempotency = "afterwards"

    def post(self, request: Request, instance_id: str) -> Response:
        return Response(services.revoke_contact_link(instance=access.instance(actor_of(request), instance_id)))
