from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from PIL import Image
from pytest_django import Settings

from conftest import Person
from media import services
from media.models import Media


@pytest.fixture(autouse=True)
def _own_storage(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_INCOMING_DIR = tmp_path / "incoming"
    options = {"location": str(tmp_path / "kept")}
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": backend}


def picture(size: tuple[int, int] = (64, 48), form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (200, 30, 60)).save(out, form, **options)
    return out.getvalue()


@pytest.fixture
def stored(db: None) -> Callable[..., Media]:
    """Keeps a file of somebody's."""

    def store(owner: Person, content: bytes, filename: str = "") -> Media:
        import hashlib

        digest = hashlib.sha256(content).hexdigest()
        file = ContentFile(content)
        return services.store(actor=owner.actor, content=file, sha256=digest, source="upload", filename=filename)

    return store
