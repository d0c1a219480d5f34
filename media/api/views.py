from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actor import Actor
from accounts.permissions import actor_of
from config.api import idempotency
from config.api.pagination import Pages
from config.api.parsers import JSONParser
from config.api.problems import FieldError, Problem
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from config.timestamps import iso
from media import access, selectors, services, serving, signing
from media.api.parsers import UploadParser, receive
from media.api.serializers import FormInput, MediaInput, MediaQuery
from media.models import Media, Source, Status
from media.uploads import FIELD, Receiver


class MediaView(APIView):
    scopes = {"GET": "read", "POST": "send"}
    idempotency: idempotency.Kind = "afterwards"  # the file is written before its row, which is kept with the answer
    parser_classes = [JSONParser, UploadParser]
    _receiver: Receiver | None = None

    def perform_authentication(self, request: Request) -> None:
        super().perform_authentication(request)
        if request.method == "POST" and isinstance(request.auth, Actor):
            self._receiver = receive(request)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        if self._receiver is not None:
            self._receiver.close()
        return super().finalize_response(request, response, *args, **kwargs)

    def get(self, request: Request) -> Response:
        pages = Pages()
        found = access.listed(actor_of(request), **checked_query(MediaQuery, request))
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response([selectors.media_data(row) for row in rows])

    def post(self, request: Request) -> Response:
        media = _uploaded(request) if request.FILES or _is_form(request) else _given(request)
        return Response(selectors.media_data(media), status=201)


def _is_form(request: Request) -> bool:
    return (request.content_type or "").startswith("multipart/form-data")


def _told(media: Media) -> None:
    idempotency.keep(201, selectors.media_data(media))


def _uploaded(request: Request) -> Media:
    file = request.FILES.get(FIELD)
    if file is None:
        errors = [FieldError(f"/{FIELD}", "required", "This field is required.")]
        raise Problem("invalid_request", "Send the file in the field `file`.", errors=errors)
    form: Any = request.data
    serializer = FormInput(data={name: text for name, text in form.items() if name != FIELD})
    serializer.is_valid(raise_exception=True)
    given = {name: text for name, text in serializer.validated_data.items() if text}
    words = {"filename": file.name or "", "mime_type": file.content_type or ""} | given
    return services.store(
        actor=actor_of(request), content=file, sha256=file.sha256, source=Source.UPLOAD, told=_told, **words
    )


def _given(request: Request) -> Media:
    words = checked(MediaInput, request)
    make = services.store_data if "data" in words else services.store_link
    return make(actor=actor_of(request), told=_told, **words)


class OneMediaView(APIView):
    scopes = {"GET": "read", "DELETE": "send"}

    def get(self, request: Request, media_id: str) -> Response:
        media = access.one(actor_of(request), media_id)
        url, expires_at = signing.link_to(media) if media.status == Status.STORED else (None, None)
        return Response(selectors.media_data(media) | {"url": url, "url_expires_at": iso(expires_at)})

    def delete(self, request: Request, media_id: str) -> Response:
        services.delete(media=access.one(actor_of(request), media_id))
        return Response(status=204)


class FetchView(APIView):
    scopes = {"POST": "send"}

    def post(self, request: Request, media_id: str) -> Response:
        media = services.fetch_again(media=access.one(actor_of(request), media_id))
        return Response(selectors.media_data(media), status=202)


class AnyForm(BaseContentNegotiation):
    """A file has one form, whatever is asked for; errors are JSON."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ContentView(APIView):
    scopes = {"GET": "read"}
    content_negotiation_class = AnyForm

    def get(self, request: Request, media_id: str) -> HttpResponseBase:
        media = access.one(actor_of(request), media_id)
        serving.check_stored(media)
        link = signing.direct_link(media)
        return HttpResponseRedirect(link) if link else serving.response(media, request._request)


def show(request: HttpRequest, token: str) -> HttpResponseBase:
    """The file of a signed link. Raises Problem ``not_found``."""
    media_id = signing.media_id_in(token)
    media = Media.objects.filter(pk=media_id, status=Status.STORED).first() if media_id else None
    if media is None:
        raise Problem("not_found", "There is no such file, or the link has expired.")
    return HttpResponse(status=405) if request.method not in ("GET", "HEAD") else serving.response(media, request)
