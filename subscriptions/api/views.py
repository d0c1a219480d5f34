from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from accounts.permissions import actor_of
from config.api.browsable import BrowsableAPIRenderer
from config.api.pagination import Pages
from config.api.renderers import JSONRenderer
from config.api.serializers import checked, checked_query
from config.api.views import APIView
from subscriptions import access, reports, services
from subscriptions.api.renderers import UsageCsvRenderer
from subscriptions.api.serializers import PlanChoice, UsageQuery
from subscriptions.models import Plan
from subscriptions.selectors import plan_data, subscription_data


class _PlanPages(Pages):
    ordering = ("position", "code")


class PlansView(APIView):
    """The plans that everybody may choose from, smallest first."""

    authentication_classes = ()
    permission_classes = ()

    def get(self, request: Request) -> Response:
        pages = _PlanPages()
        rows = pages.paginate_queryset(Plan.objects.filter(is_public=True), request, self) or []
        return pages.get_paginated_response([plan_data(row) for row in rows])


class SubscriptionView(APIView):
    scopes = {"GET": "read", "PATCH": "billing"}

    def get(self, request: Request) -> Response:
        actor = actor_of(request)
        return Response(subscription_data(access.subscription(actor), actor.networks))

    def patch(self, request: Request) -> Response:
        actor = actor_of(request)
        services.change_plan(actor=actor, **checked(PlanChoice, request))
        return Response(subscription_data(access.subscription(actor), actor.networks))


class UsageView(APIView):
    """Messages accepted and received, by day in UTC, instance, type or network: JSON or CSV."""

    scopes = {"GET": "read"}
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, UsageCsvRenderer)

    def get(self, request: Request) -> Response:
        return Response(reports.usage_report(actor_of(request), **checked_query(UsageQuery, request)))
