from django.urls import path

from config.api.limits import limited
from instances.pages import views

urlpatterns = [path("link", limited("anonymous")(views.link), name="link-page")]
