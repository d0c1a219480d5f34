from django.contrib import admin

from config.admin import ModelAdmin
from phones.models import VirtualPhone


@admin.register(VirtualPhone)
class VirtualPhoneAdmin(ModelAdmin):
    list_display = ["phone", "name", "organization", "created_at"]
    search_fields = ["phone", "name", "organization__name"]
    list_select_related = ["organization"]
