from __future__ import annotations

from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request

from accounts.permissions import actor_of
from config.api.problems import Problem
from media.uploads import Receiver


class UploadParser(MultiPartParser):
    """Forms whose file goes straight onto the disk; `receive` must have been called."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Raises Problem ``malformed_form``, and as `Receiver`."""
        try:
            return super().parse(stream, media_type, parser_context)
        except ParseError as error:
            raise Problem("malformed_form", str(error.detail)) from error


def receive(request: Request) -> Receiver:
    """Have the file of a request received, before anything reads the body. The receiver is to be closed."""
    receiver = Receiver(request._request, actor_of(request).organization_id)
    request._request.upload_handlers = [receiver]
    return receiver
