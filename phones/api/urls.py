from django.urls import path

from phones.api import views

urlpatterns = [
    path("sandbox/phones", views.PhonesView.as_view()),
    path("sandbox/phones/<str:phone>/scan", views.ScanView.as_view()),
    path("sandbox/phones/<str:phone>/enter-code", views.EnterCodeView.as_view()),
    path("sandbox/phones/<str:phone>/messages", views.PhoneMessagesView.as_view()),
    path("sandbox/phones/<str:phone>/messages/<str:message_id>/read", views.ReadView.as_view()),
    path("sandbox/phones/<str:phone>/calls", views.PhoneCallsView.as_view()),
    path("sandbox/phones/<str:phone>/calls/<str:call_id>", views.PhoneCallView.as_view()),
]
