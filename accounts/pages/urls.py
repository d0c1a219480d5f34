from django.urls import path

from accounts.pages import views
from config.api.limits import limited

urlpatterns = [
    path("verify-email", limited("auth")(views.VerifyEmailPage.as_view())),
    path("reset-password", limited("auth")(views.ResetPasswordPage.as_view())),
    path("accept-invitation", limited("auth")(views.AcceptInvitationPage.as_view())),
]
