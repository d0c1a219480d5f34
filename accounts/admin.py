from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from rest_framework_api_key.models import APIKey as UnusedKey
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import organizations
from accounts.models import ApiKey, Membership, Organization, SuspensionReason, User
from config.admin import ModelAdmin, ReadOnlyAdmin, linked

admin.site.unregister([Group, UnusedKey])


@admin.register(Group)
class GroupAdmin(ModelAdmin, DjangoGroupAdmin):
    """Rights of operators who are no superusers."""


class MembershipInline(TabularInline):
    model = Membership
    hide_title = True
    fields = readonly_fields = ["user", "organization", "role", "created_at"]
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(ModelAdmin, DjangoUserAdmin):
    """People. Rights of operators are given by superusers only."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    ordering = ["-id"]
    list_display = ["email", "name", "active", "rights", "organization_count", "last_login", "date_joined"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["email", "name"]
    search_help_text = "An e-mail address, a name, or an id: usr_…"
    filter_horizontal: ClassVar[list[str]] = []
    autocomplete_fields = ["groups"]
    fieldsets = [
        (None, {"fields": ["id", "email", "name", "password"]}),
        ("Rights", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["email", "name", "usable_password", "password1", "password2", "is_staff", "is_superuser"]})
    ]
    readonly_fields = ["id", "email", "is_active", "last_login", "date_joined"]
    inlines = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).annotate(organization_count=Count("memberships"))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        fields = list(self.readonly_fields) if obj else []
        return fields if request.user.is_superuser else [*fields, "is_staff", "is_superuser", "groups"]

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who could change an operator's password could become that operator."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or not obj.is_staff or request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def get_inlines(self, request: HttpRequest, obj: User | None) -> list[type[Any]]:
        return [*super().get_inlines(request, obj)] if obj else []

    @display(description="active", boolean=True, ordering="is_active")
    def active(self, user: User) -> bool:
        return user.is_active

    @display(description="rights", ordering="is_staff", label={"operator": "warning", "superuser": "danger"})
    def rights(self, user: User) -> tuple[str, str] | None:
        if not user.is_staff:
            return None
        return ("superuser", "Superuser") if user.is_superuser else ("operator", "Operator")

    @display(description="organizations", ordering="organization_count")
    def organization_count(self, user: Any) -> int:
        return int(user.organization_count)


@admin.register(Organization)
class OrganizationAdmin(ReadOnlyAdmin):
    list_display = ["name", "state", "members_count", "id", "created_at"]
    list_filter = [("suspended_at", admin.EmptyFieldListFilter), "suspended_reason"]
    search_fields = ["name", "members__email"]
    search_help_text = "A name, a member's e-mail address, or an id: org_…, usr_…"
    id_fields = {"usr": "members"}
    ordering = ["-id"]
    fieldsets = [
        (None, {"fields": ["id", "name", "created_at"]}),
        ("Suspension", {"fields": ["suspended_at", "suspended_reason"]}),
    ]
    inlines = [MembershipInline]
    actions_detail = ["suspend", "resume"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return super().get_queryset(request).annotate(members_count=Count("memberships"))

    @display(description="state", ordering="suspended_at", label={"active": "success", "suspended": "danger"})
    def state(self, organization: Organization) -> tuple[str, str]:
        if organization.suspended_at is None:
            return "active", "Active"
        return "suspended", f"Suspended: {organization.get_suspended_reason_display()}"

    @display(description="members", ordering="members_count")
    def members_count(self, organization: Any) -> int:
        return int(organization.members_count)

    def offers(self, action: str, obj: Any) -> bool:
        return (obj.suspended_at is None) == (action == "suspend")

    @action(
        description="Suspend",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Suspend this organization?",
            "description": "Its numbers go offline and nothing can be sent or changed. It can still read; nothing is "
            "deleted.",
            "form_class": None,
            "form_submit_text": "Suspend",
        },
    )
    def suspend(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(organization: Organization) -> str:
            organizations.suspend(organization=organization, reason=SuspensionReason.OPERATOR)
            return f"{organization} is suspended."

        return self.act(request, object_id, work)

    @action(
        description="Resume",
        icon="play_arrow",
        permissions=["act"],
        dialog={
            "title": "Resume this organization?",
            "description": "It can be used again, and the numbers that the suspension stopped connect.",
            "form_class": None,
            "form_submit_text": "Resume",
        },
    )
    def resume(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(organization: Organization) -> str:
            organizations.resume(organization=organization)
            return f"{organization} is active again."

        return self.act(request, object_id, work)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["name", linked("organization"), "mode", "prefix", "revoked", "last_used_at", "created"]
    list_filter = ["mode", "revoked"]
    search_fields = ["name", "=prefix", "organization__name"]
    search_help_text = "A name, a prefix, an organization's name, or an id: key_…, org_…, usr_…"
    id_fields = {"org": "organization", "usr": "created_by"}
    list_select_related = ["organization"]
    ordering = ["-id"]
    fieldsets = [
        (None, {"fields": ["id", "name", "organization", "prefix", "created", "created_by"]}),
        ("May", {"fields": ["mode", "scopes", "instances", "allowed_ips"]}),
        ("Life", {"fields": ["revoked", "expiry_date", "last_used_at"]}),
    ]
