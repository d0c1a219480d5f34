from django.urls import path

from broadcasts.api import opt_out_views, template_views, views

urlpatterns = [
    path("templates", template_views.TemplatesView.as_view()),
    path("templates/<str:template_id>", template_views.TemplateView.as_view()),
    path("templates/<str:template_id>/preview", template_views.PreviewView.as_view()),
    path("broadcasts", views.BroadcastsView.as_view()),
    path("broadcasts/<str:broadcast_id>", views.BroadcastView.as_view()),
    path("broadcasts/<str:broadcast_id>/recipients", views.RecipientsView.as_view()),
    path("broadcasts/<str:broadcast_id>/start", views.StartView.as_view()),
    path("broadcasts/<str:broadcast_id>/pause", views.PauseView.as_view()),
    path("broadcasts/<str:broadcast_id>/resume", views.ResumeView.as_view()),
    path("broadcasts/<str:broadcast_id>/cancel", views.CancelView.as_view()),
    path("broadcasts/<str:broadcast_id>/report.csv", views.ReportView.as_view()),
    path("opt-outs", opt_out_views.OptOutsView.as_view()),
    path("opt-outs/keywords", opt_out_views.KeywordsView.as_view()),
    path("opt-outs/<str:opt_out_id>", opt_out_views.OptOutView.as_view()),
]
