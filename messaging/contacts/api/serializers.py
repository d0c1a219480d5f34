from __future__ import annotations

from rest_framework import serializers

from config.api.serializers import Id, Input, Switch, Text
from messaging.contacts.asking import MOST_NUMBERS


class ContactQuery(Input):
    instance = Id("ins", help_text="The instance that knows them.")


class ContactsQuery(ContactQuery):
    q = Text(
        max_length=100, required=False, help_text="A part of the name, or of the number's digits.", trim_whitespace=True
    )


class PictureQuery(ContactQuery):
    preview = serializers.BooleanField(default=False, help_text="The small form.")


class CheckInput(Input):
    instance = Id("ins")
    phones = serializers.ListField(
        child=Text(max_length=40, allow_blank=True), min_length=1, max_length=MOST_NUMBERS, allow_empty=False
    )
    again = Switch(default=False, help_text="Ask WhatsApp also about those that are known.")


class LinkInput(Input):
    instance = Id("ins")
    link = Text(max_length=200, help_text="`https://wa.me/qr/…`, or its code.")
