"""Logging in to the browsable API, and out. Sessions and the audit log hear of it by Django's signals."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import views
from django.contrib.auth.forms import AuthenticationForm
from django.urls import path

from config.api.limits import limited


class LoginForm(AuthenticationForm):
    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": "The e-mail address or the password is wrong."
    }


class LoginPage(views.LoginView):
    form_class = LoginForm
    template_name = "accounts/page.html"
    next_page = "api-root"
    extra_context = {"title": "Log in", "text": "To look at the API with your own rights.", "button": "Log in"}

    def get_context_data(self, **context: Any) -> dict[str, Any]:
        return super().get_context_data(**context) | {"action": self.request.get_full_path()}


urlpatterns = [
    path("login", limited("auth", email_field="username")(LoginPage.as_view()), name="login"),
    path("logout", views.LogoutView.as_view(next_page="api-root"), name="logout"),
]
app_name = "rest_framework"  # under this name its templates look for them
