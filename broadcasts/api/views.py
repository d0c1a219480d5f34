from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.http import HttpResponseBase, StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actor import Actor
from accounts.permissions import actor_of
from broadcasts import access, services
from broadcasts.api.parsers import CsvParser
from broadcasts.api.renderers import ReportCsvRenderer, report
from broadcasts.api.serializers import (
    BroadcastInput,
    BroadcastsQuery,
    RecipientsInput,
    RecipientsQuery,
    report_data,
)
from broadcasts.files import named_by_id
from broadcasts.importing import Report, rows_of_csv, rows_of_json
from broadcasts.models import Broadcast
from broadcasts.selectors import (
    all_of,
    broadcast_data,
    in_progress,
    one_broadcast_data,
    progress,
    recipient_data,
)
from broadcasts.templating import check, variables
from config.api.pagination import Pages
from config.api.parsers import JSONParser
from config.api.serializers import checked, checked_query
from config.api.views import APIView


def _options(actor: Actor, given: dict[str, Any]) -> dict[str, Any]:
    """What `services.create` takes, of a request. Raises Problem."""
    if template_id := given.get("template_id"):
        message = access.template(actor, template_id).message
    else:
        message = given["message"]
        check(message)
    return {
        "instances": given.get("instances") or [given["instance"]],
        "message": named_by_id(actor, message),
        "template_id": template_id,
        "name": given.get("name", ""),
        "start_at": given.get("start_at"),
        "per_minute": given.get("pacing", {}).get("per_minute"),
        "quiet_hours": given.get("quiet_hours"),
    }


class BroadcastsView(APIView):
    scopes = {"GET": "read", "POST": "send"}

    def get(self, request: Request) -> Response:
        pages, found = Pages(), access.broadcasts(actor_of(request))
        rows = found.filter(**checked_query(BroadcastsQuery, request)).prefetch_related("senders")
        page = pages.paginate_queryset(rows, request, self) or []
        counts = progress([row.pk for row in page])
        return pages.get_paginated_response([broadcast_data(row, counts[row.pk]) for row in page])

    def post(self, request: Request) -> Response:
        actor, given = actor_of(request), checked(BroadcastInput, request)
        options, rows = _options(actor, given), rows_of_json(given.get("recipients", []))
        if given.get("draft"):
            broadcast, taken = services.create(actor=actor, **options), Report()
            if "recipients" in given:
                taken = services.add_recipients(broadcast=broadcast, rows=rows)
        else:
            broadcast, taken = services.create_and_start(actor=actor, rows=rows, **options)
        return Response(_shown(broadcast) | {"errors": report_data(taken)["errors"]}, status=202)


def _shown(broadcast: Broadcast) -> dict[str, Any]:
    return one_broadcast_data(Broadcast.objects.get(pk=broadcast.pk))


class BroadcastView(APIView):
    scopes = {"GET": "read"}

    def get(self, request: Request, broadcast_id: str) -> Response:
        return Response(one_broadcast_data(access.broadcast(actor_of(request), broadcast_id)))


class RecipientsView(APIView):
    """A draft takes recipients as JSON, or as CSV, which is read as it comes in."""

    scopes = {"GET": "read", "POST": "send"}
    parser_classes = (JSONParser, CsvParser)
    idempotency = "afterwards"  # nobody is taken in twice

    def get(self, request: Request, broadcast_id: str) -> Response:
        pages, found = Pages(), access.recipients(actor_of(request), broadcast_id)
        if state := checked_query(RecipientsQuery, request).get("state"):
            found = in_progress(found, state)
        rows = pages.paginate_queryset(found, request, self) or []
        return pages.get_paginated_response([recipient_data(row) for row in rows])

    def post(self, request: Request, broadcast_id: str) -> Response:
        broadcast = access.broadcast(actor_of(request), broadcast_id)
        if (request.content_type or "").startswith(CsvParser.media_type):
            rows = rows_of_csv(cast("Iterable[bytes]", request.data or ()))
        else:
            rows = rows_of_json(checked(RecipientsInput, request)["recipients"])
        return Response(report_data(services.add_recipients(broadcast=broadcast, rows=rows)), status=202)


class StartView(APIView):
    scopes = {"POST": "send"}

    def post(self, request: Request, broadcast_id: str) -> Response:
        broadcast = services.start(broadcast=access.broadcast(actor_of(request), broadcast_id))
        return Response(one_broadcast_data(broadcast), status=202)


class PauseView(APIView):
    scopes = {"POST": "send"}

    def post(self, request: Request, broadcast_id: str) -> Response:
        broadcast = services.pause(broadcast=access.broadcast(actor_of(request), broadcast_id))
        return Response(one_broadcast_data(broadcast))


class ResumeView(APIView):
    scopes = {"POST": "send"}

    def post(self, request: Request, broadcast_id: str) -> Response:
        broadcast = services.resume(broadcast=access.broadcast(actor_of(request), broadcast_id))
        return Response(one_broadcast_data(broadcast))


class CancelView(APIView):
    scopes = {"POST": "send"}
    idempotency = "afterwards"  # it takes several transactions, and may be repeated

    def post(self, request: Request, broadcast_id: str) -> Response:
        broadcast = services.cancel(broadcast=access.broadcast(actor_of(request), broadcast_id))
        return Response(one_broadcast_data(broadcast))


class ReportView(APIView):
    """What became of every recipient, streamed as CSV."""

    scopes = {"GET": "read"}
    renderer_classes = (ReportCsvRenderer,)

    def get(self, request: Request, broadcast_id: str) -> HttpResponseBase:
        actor = actor_of(request)
        broadcast = access.broadcast(actor, broadcast_id)
        lines = report(all_of(access.recipients(actor, broadcast_id)), variables(broadcast.message))
        name = {"Content-Disposition": f'attachment; filename="{broadcast.id}.csv"'}
        return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=name)
