"""Receives the file of a multipart request: straight onto the disk, counted and hashed on the way."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import TemporaryFileUploadHandler

from config.api.middleware import MAX_FILE_BYTES
from config.api.problems import Problem, invalid
from media import storing

FIELD = "file"


class Receiver(TemporaryFileUploadHandler):
    """Takes one file, in the field ``file``; it has a ``sha256`` then. Raises Problem from within the parser."""

    chunk_size = storing.CHUNK_BYTES

    def __init__(self, request: Any, organization_id: str) -> None:
        super().__init__(request)
        self._organization_id = organization_id
        self._digest = hashlib.sha256()
        self._size = 0
        self._begun = False

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any) -> None:
        storing.check_room(self._organization_id, content_length)
        os.makedirs(settings.MEDIA_INCOMING_DIR, mode=0o700, exist_ok=True)

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        if field_name != FIELD:
            raise invalid(f"/{field_name}", "unknown_field", "This field is not known here.")
        if self._begun:
            raise invalid(f"/{FIELD}", "too_many_files", "Send one file with each request.")
        self._begun = True
        super().new_file(field_name, *args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._size += len(raw_data)
        if self._size > MAX_FILE_BYTES:
            raise Problem("body_too_large", f"The limit is {MAX_FILE_BYTES} bytes.", limit=MAX_FILE_BYTES)
        self._digest.update(raw_data)
        super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        file: Any = super().file_complete(file_size)
        file.sha256 = self._digest.hexdigest()
        return file
