from django.urls import path

from audit.api import views

urlpatterns = [path("audit", views.AuditView.as_view())]
