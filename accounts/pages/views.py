from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache

from accounts import email_tokens, invitations, services
from accounts.models import User
from accounts.pages.forms import NewPersonForm, PasswordForm, TokenForm
from config.api.problems import Problem


@method_decorator(never_cache, name="dispatch")
class TokenPage(View):
    """Shows a form, and does what it is for when it is posted; says why when that is not possible."""

    title, button, done = "", "", ""
    form: type[TokenForm] = TokenForm

    def get(self, request: HttpRequest) -> HttpResponse:
        token = request.GET.get("token", "")
        try:
            form, text = self.form_for(token)(initial={"token": token}), self.text(token)
        except Problem as problem:
            return self._page(request, status=problem.status, text=problem.detail)
        return self._page(request, form=form, text=text)

    def post(self, request: HttpRequest) -> HttpResponse:
        token = request.POST.get("token", "")
        try:
            form = self.form_for(token)(request.POST)
            if form.is_valid():
                self.act(**form.cleaned_data)
                return self._page(request, text=self.done)
            return self._page(request, status=400, form=form, text=self.text(token))
        except Problem as problem:
            if not problem.errors:
                return self._page(request, status=problem.status, text=problem.detail)
            for error in problem.errors:
                form.add_error(error.pointer[1:], error.detail)
            return self._page(request, status=problem.status, form=form, text=self.text(token))

    def form_for(self, token: str) -> type[TokenForm]:
        """Raises Problem when the link is of no use."""
        return self.form

    def text(self, token: str) -> str:
        return ""

    def act(self, **fields: str) -> None:
        """Raises Problem."""
        raise NotImplementedError

    def _page(self, request: HttpRequest, status: int = 200, **context: Any) -> HttpResponse:
        shown: Mapping[str, Any] = {"title": self.title, "button": self.button, **context}
        response = render(request, "accounts/page.html", shown, status=status)
        # The address holds the token. With no-referrer browsers would send the form without their origin.
        response["Referrer-Policy"] = "strict-origin"
        return response


class VerifyEmailPage(TokenPage):
    title, button = "Confirm your e-mail address", "Confirm"
    done = "Thank you. Your e-mail address is confirmed."

    def text(self, token: str) -> str:
        return f"Is {email_tokens.address_of(token)[1]} your e-mail address?"

    def act(self, **fields: str) -> None:
        services.verify_email(token=fields["token"])


class ResetPasswordPage(TokenPage):
    title, button, form = "Choose a new password", "Set password", PasswordForm
    done = "Your password is set, and all sessions were ended. Log in with the new one."

    def text(self, token: str) -> str:
        return f"For {email_tokens.user_of_reset(token).email}."

    def act(self, **fields: str) -> None:
        services.reset_password(token=fields["token"], password=fields["password"])


class AcceptInvitationPage(TokenPage):
    title, button = "Accept the invitation", "Accept"
    done = "Welcome. Log in to get to work."

    def form_for(self, token: str) -> type[TokenForm]:
        return TokenForm if _invited_person(token) else NewPersonForm

    def text(self, token: str) -> str:
        invitation = invitations.invited(token=token)
        return f"{invitation.email} is invited to {invitation.organization.name} as {invitation.role}."

    def act(self, **fields: str) -> None:
        user = _invited_person(fields["token"])
        if user:
            invitations.accept(user=user, token=fields["token"])
        else:
            invitations.accept_as_new(**fields)


def _invited_person(token: str) -> User | None:
    """Who has the invited address already: the link proves that it is them."""
    return User.objects.filter(email=invitations.invited(token=token).email, is_active=True).first()
