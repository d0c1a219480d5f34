from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework_api_key.models import APIKey as UnusedKey
from unfold.admin import TabularInline
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import api_keys, operators, organizations, sessions
from accounts.models import ApiKey, Invitation, Mail, Membership, Organization, Session, SuspensionReason, User
from config.admin import LogAdmin, ModelAdmin, ReadOnlyAdmin, linked
from config.api.problems import Problem

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
        (None, {"fields": ["id", "email", "email_verified_at", "pending_email", "name", "password"]}),
        ("Rights", {"fields": ["is_active", "is_staff", "is_superuser", "groups"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (None, {"fields": ["email", "name", "usable_password", "password1", "password2", "is_staff", "is_superuser"]})
    ]
    readonly_fields = [
        "id", "email", "email_verified_at", "pending_email", "is_active", "last_login", "date_joined"
    ]  # fmt: skip
    inlines = [MembershipInline]
    actions_detail = ["end_sessions", "deactivate", "reactivate"]

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

    def act(self, request: HttpRequest, object_id: str, work: Callable[[Any], str]) -> HttpResponse:
        def allowed(user: User) -> str:
            if not self.has_change_permission(request, user):
                raise PermissionDenied
            return work(user)

        return super().act(request, object_id, allowed)

    def offers(self, action: str, obj: Any) -> bool:
        if action == "end_sessions":
            return bool(obj.sessions.live().exists())
        return bool(obj.is_active) == (action == "deactivate")

    @action(
        description="End sessions",
        icon="logout",
        permissions=["act"],
        dialog={
            "title": "End all sessions of this person?",
            "description": "They have to log in again everywhere. API keys work on.",
            "form_class": None,
            "form_submit_text": "End sessions",
        },
    )
    def end_sessions(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(user: User) -> str:
            sessions.end_all(user_id=user.pk)
            return f"{user} has to log in again."

        return self.act(request, object_id, work)

    @action(
        description="Deactivate",
        icon="person_off",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Deactivate this person?",
            "description": "They are logged out at once and cannot log in. Memberships and API keys stay as they are.",
            "form_class": None,
            "form_submit_text": "Deactivate",
        },
    )
    def deactivate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(user: User) -> str:
            if user.pk == request.user.pk:
                raise Problem("permission_denied", "You cannot deactivate yourself.")
            operators.deactivate(user=user)
            return f"{user} is deactivated."

        return self.act(request, object_id, work)

    @action(
        description="Reactivate",
        icon="person",
        permissions=["act"],
        dialog={
            "title": "Let this person log in again?",
            "description": "Their password and memberships are as they were.",
            "form_class": None,
            "form_submit_text": "Reactivate",
        },
    )
    def reactivate(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(user: User) -> str:
            operators.reactivate(user=user)
            return f"{user} may log in again."

        return self.act(request, object_id, work)

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
            "description": "Its instances go offline and nothing can be sent or changed. It can still read; nothing is "
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
            "description": "It can be used again, and the instances that the suspension stopped connect.",
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
    actions_detail = ["revoke"]

    def offers(self, action: str, obj: Any) -> bool:
        return not obj.revoked

    @action(
        description="Revoke",
        icon="key_off",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "Revoke this key?",
            "description": "Programs that use it are refused at once. This cannot be undone.",
            "form_class": None,
            "form_submit_text": "Revoke",
        },
    )
    def revoke(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(key: ApiKey) -> str:
            api_keys.revoke_key(key=key)
            return f"{key.name} is revoked."

        return self.act(request, object_id, work)


@admin.register(Session)
class SessionAdmin(LogAdmin):
    """Logins: families of tokens, and browsers."""

    list_display = ["created_at", linked("user"), "state", "address", "last_used_at", "expires_at"]
    list_filter = ["revoked_reason"]
    search_fields = ["=user__email", "=address"]
    search_help_text = "A whole e-mail or IP address, or an id: ses_…, usr_…"
    id_fields = {"usr": "user"}
    list_select_related = ["user"]
    fields = ["id", "user", "address", "user_agent", "created_at", "last_used_at", "expires_at"]
    fields += ["revoked_at", "revoked_reason"]
    actions_detail = ["end"]

    @display(description="state", label={"live": "success", "expired": "default", "ended": "default"})
    def state(self, session: Session) -> tuple[str, str]:
        if session.revoked_at is not None:
            return "ended", session.get_revoked_reason_display() or "Ended"
        return ("live", "Live") if session.expires_at > timezone.now() else ("expired", "Expired")

    def offers(self, action: str, obj: Any) -> bool:
        return obj.revoked_at is None and obj.expires_at > timezone.now()

    @action(
        description="End",
        icon="logout",
        variant=ActionVariant.DANGER,
        permissions=["act"],
        dialog={
            "title": "End this session?",
            "description": "Its tokens, its sockets and its browser are logged out at once.",
            "form_class": None,
            "form_submit_text": "End",
        },
    )
    def end(self, request: HttpRequest, form: Any, object_id: str) -> HttpResponse:
        def work(session: Session) -> str:
            sessions.end(user_id=session.user_id, session_id=session.pk, reason=Session.Revoked.REVOKED)
            return "The session is over."

        return self.act(request, object_id, work)


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["email", linked("organization"), "role", "created_at", "expires_at", "accepted_at", "revoked_at"]
    search_fields = ["email", "organization__name"]
    search_help_text = "An e-mail address, an organization's name, or an id: inv_…, org_…"
    id_fields = {"org": "organization"}
    list_select_related = ["organization"]
    ordering = ["-id"]


@admin.register(Mail)
class MailAdmin(LogAdmin):
    """What was mailed to whom, and what still waits; the text is made when it is sent."""

    list_display = ["created_at", "kind", "to", "attempts", "sent_at", "next_attempt_at"]
    list_filter = ["kind"]
    search_fields = ["=to", "=subject_id"]
    search_help_text = "A whole e-mail address, the id of what it is about, or an id: eml_…"
