"""Outside of ``/api/``: what signed links open."""

from django.urls import path

from config.api.limits import limited
from media.api import views

urlpatterns = [path("files/<str:token>", limited("anonymous")(views.show))]
