from __future__ import annotations

from config.api.serializers import Id, Input


class ContactQuery(Input):
    instance = Id("ins", help_text="The instance that knows them.")
