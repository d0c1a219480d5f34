from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.contrib.sessions.models import Session as BrowserSession
from django.db import models, transaction
from django.utils import timezone
from rest_framework_api_key.models import AbstractAPIKey

from accounts.keys import ApiKeyManager
from config.ids import TypeIDField


class Mode(models.TextChoices):
    """Test keys reach the sandbox network only, live keys the real one only."""

    TEST = "test"
    LIVE = "live"


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Scope(models.TextChoices):
    """What an API key may do."""

    READ = "read"
    SEND = "send"
    MANAGE = "manage"
    WEBHOOKS = "webhooks"


class Permission(models.TextChoices):
    """What only people may do; no API key can have these."""

    SELF = "self", "one's own account, in any organization or none"
    TEAM = "team", "see who else belongs to the organization, and leave it"
    KEYS = "keys", "manage API keys"
    MEMBERS = "members", "invite, change roles, remove"
    AUDIT = "audit", "read the audit log"
    BILLING = "billing", "change the plan"
    OWN = "own", "transfer, rename or close the organization"


KEY_SCOPES: frozenset[str] = frozenset(Scope.values)
ANYBODY: frozenset[str] = frozenset({Permission.SELF})
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: KEY_SCOPES | frozenset(Permission.values),
    Role.ADMIN: KEY_SCOPES | ANYBODY | {Permission.TEAM, Permission.KEYS, Permission.MEMBERS, Permission.AUDIT},
    Role.MEMBER: ANYBODY | {Permission.TEAM, Scope.READ, Scope.SEND},
    Role.VIEWER: ANYBODY | {Permission.TEAM, Scope.READ},
}


# Who may make, change and remove whom: nobody gives or takes more than they have.
ROLES_BELOW: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(Role.values),
    Role.ADMIN: frozenset({Role.ADMIN, Role.MEMBER, Role.VIEWER}),
    Role.MEMBER: frozenset(),
    Role.VIEWER: frozenset(),
}


class SuspensionReason(models.TextChoices):
    OPERATOR = "operator"
    EXPIRED = "expired"


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """Create a person. The e-mail address is kept in lower case, so that it is unique whatever its spelling."""
        user = self.model(email=email.strip().lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person. Operators are users with ``is_staff``; they work in the admin."""

    id = TypeIDField(prefix="usr", primary_key=True)
    email = models.EmailField(unique=True)
    email_verified_at = models.DateTimeField(null=True, blank=True, editable=False)
    pending_email = models.EmailField(null=True, blank=True, editable=False, help_text="To be verified, then it counts")
    name = models.CharField(max_length=100)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    date_joined = models.DateTimeField(default=timezone.now)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    _password: str | None = None
    _password_removed = False

    def __str__(self) -> str:
        return self.email

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self._password_removed = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new password or deactivation ends all sessions, whoever does it: the person, an operator or a shell."""
        changed = self._password is not None or self._password_removed
        adding = self._state.adding
        with transaction.atomic(using=kwargs.get("using")):
            super().save(*args, **kwargs)
            self._password_removed = False
            if not adding and (changed or not self.is_active):
                reason = Session.Revoked.PASSWORD_CHANGED if self.is_active else Session.Revoked.DEACTIVATED
                self.sessions.revoke(reason)


class SessionQuerySet(models.QuerySet["Session"]):
    def live(self) -> SessionQuerySet:
        return self.filter(revoked_at=None, expires_at__gt=timezone.now(), user__is_active=True)

    def revoke(self, reason: str) -> int:
        """End the sessions, those of browsers included; returns how many were not ended before. Idempotent."""
        open_ = self.filter(revoked_at=None)
        keys = list(open_.filter(browser_key__isnull=False).values_list("browser_key", flat=True))
        if keys:
            BrowserSession.objects.filter(session_key__in=keys).delete()
        return open_.update(revoked_at=timezone.now(), revoked_reason=reason)


class Session(models.Model):
    """A login of a person: the family of tokens that descend from it, or one browser's cookie.

    ``refresh_jti`` is the id of the only refresh token of the family that may still be used. ``browser_key``
    is the key of Django's own session for who logged in on a page.
    """

    class Revoked(models.TextChoices):
        LOGOUT = "logout"
        LOGOUT_EVERYWHERE = "logout_everywhere"
        REVOKED = "revoked", "by the person, from another session"
        PASSWORD_CHANGED = "password_changed"  # noqa: S105 (a reason)
        REUSE_DETECTED = "reuse_detected", "an old refresh token was used"
        DEACTIVATED = "deactivated"

    id = TypeIDField(prefix="ses", primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions")
    refresh_jti = models.CharField(max_length=32, null=True, editable=False)
    browser_key = models.CharField(max_length=40, null=True, editable=False, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(help_text="When tokens were last issued")
    expires_at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=300, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=20, choices=Revoked.choices, null=True, blank=True)

    objects = SessionQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.user_id} from {self.address or 'nowhere'}"


class Organization(models.Model):
    """The tenant: owns instances, messages, webhooks, keys and a subscription."""

    id = TypeIDField(prefix="org", primary_key=True)
    name = models.CharField(max_length=100)
    members = models.ManyToManyField(User, through="Membership", related_name="organizations")
    created_at = models.DateTimeField(auto_now_add=True)
    suspended_at = models.DateTimeField(null=True, blank=True, editable=False)
    suspended_reason = models.CharField(
        max_length=10, choices=SuspensionReason.choices, null=True, blank=True, editable=False
    )

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    id = TypeIDField(prefix="mem", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "user"], name="one_membership_each")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.organization}"


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def pending(self) -> InvitationQuerySet:
        return self.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


class Invitation(models.Model):
    """Somebody is asked by e-mail to join an organization; open until accepted, revoked or expired."""

    id = TypeIDField(prefix="inv", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=10, choices=Role.choices)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                name="one_open_invitation_each",
                condition=models.Q(accepted_at__isnull=True, revoked_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.organization_id}"


class Mail(models.Model):
    """An e-mail that is to be sent, or was: durable like everything that was promised.

    It names its recipient and what it is about; the text, and the token in it, is made when it is sent.
    ``next_attempt_at`` is NULL when it was sent or given up.
    """

    class Kind(models.TextChoices):
        VERIFY_EMAIL = "verify_email"
        PASSWORD_RESET = "password_reset"  # noqa: S105 (a kind)
        PASSWORD_CHANGED = "password_changed"  # noqa: S105 (a kind)
        EMAIL_CHANGED = "email_changed"
        INVITATION = "invitation"

    id = TypeIDField(prefix="eml", primary_key=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    to = models.EmailField()
    subject_id = models.CharField(max_length=40, blank=True, help_text="The user or invitation it is about")
    created_at = models.DateTimeField(auto_now_add=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["next_attempt_at"], name="mail_due", condition=models.Q(next_attempt_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.kind} to {self.to}"


class ApiKey(AbstractAPIKey):
    """A program's credential; only its SHA-512 is kept. Created with ``ApiKey.objects.create_key``."""

    id = TypeIDField(prefix="key", primary_key=True)
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="keys")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    name = models.CharField(max_length=100)
    mode = models.CharField(max_length=4, choices=Mode.choices)
    scopes = models.JSONField()
    instances = models.JSONField(null=True, blank=True, help_text="Instance ids, or null for all")
    allowed_ips = models.JSONField(null=True, blank=True, help_text="Networks in CIDR notation, or null for all")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True)

    objects = ApiKeyManager()  # type: ignore[assignment, misc]

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "API key"
