from django.urls import path

from instances.api import link_page_views, views

urlpatterns = [
    path("instances", views.InstancesView.as_view()),
    path("instances/<str:instance_id>", views.InstanceView.as_view()),
    path("instances/<str:instance_id>/connect", views.ConnectView.as_view()),
    path("instances/<str:instance_id>/stop", views.StopView.as_view()),
    path("instances/<str:instance_id>/restart", views.RestartView.as_view()),
    path("instances/<str:instance_id>/logout", views.InstanceLogoutView.as_view()),
    path("instances/<str:instance_id>/history", views.HistoryView.as_view()),
    path("instances/<str:instance_id>/linking", views.LinkingView.as_view()),
    path("instances/<str:instance_id>/link-page", link_page_views.InstanceLinkPageView.as_view()),
    path("link-page", link_page_views.LinkPageView.as_view()),
    path("link-page/start", link_page_views.LinkPageStartView.as_view()),
    path("link-page/pairing-code", link_page_views.LinkPageCodeView.as_view()),
    path("instances/<str:instance_id>/qr", views.QrView.as_view()),
    path("instances/<str:instance_id>/pairing-code", views.PairingCodeView.as_view()),
]
