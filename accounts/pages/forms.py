from __future__ import annotations

from django import forms


class TokenForm(forms.Form):
    token = forms.CharField(widget=forms.HiddenInput, max_length=4096)


class PasswordForm(TokenForm):
    password = forms.CharField(
        label="New password",
        max_length=256,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class NewPersonForm(PasswordForm):
    name = forms.CharField(label="Your name", max_length=100, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    field_order = ["token", "name", "password"]
