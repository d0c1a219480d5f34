"""Receives the file of a multipart request: straight onto the disk, counted and hashed on the way."""

from __future__ import annotations

import hashlib
import os
from tempfile import NamedTemporaryFile
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from config.api.middleware import MAX_FILE_BYTES
from config.api.problems import Problem, invalid
from media import storing

FIELD = "file"


class Incoming(TemporaryUploadedFile):
    """On the storage's own disk, so that the file need only be moved when it is complete."""

    def __init__(self, name: str, content_type: str) -> None:
        os.makedirs(settings.MEDIA_INCOMING_DIR, mode=0o700, exist_ok=True)
        file = NamedTemporaryFile(suffix=".upload", dir=settings.MEDIA_INCOMING_DIR)  # noqa: SIM115 (closed with us)
        UploadedFile.__init__(self, file, name, content_type, 0)


class Receiver(FileUploadHandler):
    """Takes one file, in the field ``file``; it has a ``sha256`` then. Raises Problem from within the parser."""

    chunk_size = storing.CHUNK_BYTES

    def __init__(self, request: Any, organization_id: str) -> None:
        super().__init__(request)
        self._organization_id = organization_id
        self._digest = hashlib.sha256()
        self._size = 0
        self._file: Incoming | None = None

    def handle_raw_input(self, input_data: Any, META: Any, content_length: int, *args: Any, **kwargs: Any) -> None:
        storing.check_room(self._organization_id, content_length)

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        if field_name != FIELD:
            raise invalid(f"/{field_name}", "unknown_field", "This field is not known here.")
        if self._file is not None:
            raise invalid(f"/{FIELD}", "too_many_files", "Send one file with each request.")
        super().new_file(field_name, *args, **kwargs)
        self._file = Incoming(self.file_name or "", self.content_type or "")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._file is not None
        self._size += len(raw_data)
        if self._size > MAX_FILE_BYTES:
            raise Problem("body_too_large", f"The limit is {MAX_FILE_BYTES} bytes.", limit=MAX_FILE_BYTES)
        self._digest.update(raw_data)
        self._file.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        file: Any = self._file
        file.seek(0)
        file.size, file.sha256 = file_size, self._digest.hexdigest()
        return file

    def close(self) -> None:
        """Remove the file, unless it was taken; Django itself leaves some of those that were refused."""
        if self._file is not None:
            self._file.close()
