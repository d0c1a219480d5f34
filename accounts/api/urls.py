from django.urls import path

from accounts.api import key_views, organization_views, views

urlpatterns = [
    path("auth/register", views.RegisterView.as_view()),
    path("auth/login", views.LoginView.as_view()),
    path("auth/refresh", views.RefreshView.as_view()),
    path("auth/logout", views.LogoutView.as_view()),
    path("auth/logout-everywhere", views.LogoutEverywhereView.as_view()),
    path("auth/sessions", views.SessionsView.as_view()),
    path("auth/sessions/<str:session_id>", views.SessionView.as_view()),
    path("auth/me", views.MeView.as_view()),
    path("auth/change-password", views.ChangePasswordView.as_view()),
    path("auth/verify-email", views.VerifyEmailView.as_view()),
    path("auth/verify-email/resend", views.ResendVerificationView.as_view()),
    path("auth/password-reset", views.PasswordResetView.as_view()),
    path("auth/password-reset/confirm", views.ConfirmPasswordResetView.as_view()),
    path("organizations", organization_views.OrganizationsView.as_view()),
    path("organization", organization_views.OrganizationView.as_view()),
    path("organization/transfer", organization_views.TransferView.as_view()),
    path("members", organization_views.MembersView.as_view()),
    path("members/<str:member_id>", organization_views.MemberView.as_view()),
    path("invitations", organization_views.InvitationsView.as_view()),
    path("invitations/accept", organization_views.AcceptInvitationView.as_view()),
    path("invitations/<str:invitation_id>", organization_views.InvitationView.as_view()),
    path("invitations/<str:invitation_id>/resend", organization_views.ResendInvitationView.as_view()),
    path("keys", key_views.KeysView.as_view()),
    path("keys/<str:key_id>", key_views.KeyView.as_view()),
    path("keys/<str:key_id>/rotate", key_views.RotateKeyView.as_view()),
]
