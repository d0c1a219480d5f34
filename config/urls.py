"""One line per app; the paths inside stand in the app's ``api/urls.py``."""

from django.contrib import admin
from django.urls import include, path

from config.api import docs, health, metrics, root
from config.api.limits import limited

admin.autodiscover()

urlpatterns = [
    path("health", limited("anonymous")(health.health)),
    path("livez", health.livez),
    path("readyz", health.readyz),
    path("metrics", metrics.show),
    path("api/version", limited("anonymous")(health.version)),
    path("api/", root.RootView.as_view(), name="api-root"),
    path("api/schema", docs.SchemaView.as_view(), name="schema"),
    path("api/docs", docs.DocsView.as_view(), name="docs"),
    path("api/", include("audit.api.urls")),
    path("api/", include("accounts.api.urls")),
    path("api/", include("subscriptions.api.urls")),
    path("api/", include("webhooks.api.urls")),
    path("api/", include("instances.api.urls")),
    path("api/", include("media.api.urls")),
    path("", include("media.api.file_urls")),
    path("api/", include("messaging.api.urls")),
    path("api/", include("messaging.calls.api.urls")),
    path("api/", include("messaging.chats.api.urls")),
    path("api/", include("messaging.contacts.api.urls")),
    path("api/", include("messaging.profile.api.urls")),
    path("api/", include("broadcasts.api.urls")),
    path("api/", include("phones.api.urls")),
    path("", include("instances.pages.urls")),
    path("admin/login/", limited("auth", email_field="username")(admin.site.login)),
    path("account/", include("accounts.pages.urls")),
    path("account/", include("accounts.pages.login")),
    path("admin/", admin.site.urls),
]

handler400 = "config.api.handlers.bad_request"
handler403 = "config.api.handlers.permission_denied"
handler404 = "config.api.handlers.not_found"
handler500 = "config.api.handlers.server_error"
