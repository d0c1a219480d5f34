from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from config.api.operations import Moment, Operation, Operations, Page, Shape, Tag, identifier
from media.api import views
from media.api.serializers import MediaInput, MediaQuery
from media.models import Source, Status
from media.serving import OCTETS, SHOWN

MediaId = Annotated[str, identifier("med")]


class MediaError(Shape):
    code: Annotated[str, Meta(examples=["link_unreachable"])]
    detail: str | None


class MediaFile(Shape):
    """A file of your organization. While it is `pending` it is still to be fetched, and what is said is a claim."""

    id: MediaId
    status: Status
    source: Source
    instance: Annotated[str, Meta(description="The instance that received it.")] | None
    mime_type: Annotated[str, Meta(description="By content.", examples=["image/jpeg"])] | None
    size: Annotated[int, Meta(description="In bytes.")] | None
    sha256: str | None
    filename: str | None
    error: MediaError | None
    created_at: Moment
    last_used_at: Moment
    expires_at: Moment | None


class OneMediaFile(MediaFile):
    url: Annotated[str, Meta(description="Opens the file without credentials, for a short time.")] | None
    url_expires_at: Moment | None


class MediaPage(Page[MediaFile]):
    pass


_FORM = {
    "type": "object",
    "required": ["file"],
    "additionalProperties": False,
    "properties": {
        "file": {"type": "string", "format": "binary", "minLength": 1},
        "filename": {"type": "string", "maxLength": 255, "pattern": r"^[^\u0000]*$"},
        "mime_type": {"type": "string", "maxLength": 100, "pattern": r"^[!-~]*$"},
    },
}
_BYTES = {"type": "string", "contentEncoding": "binary"}
TAG = Tag("Media", "Files to send, and files received.")
OPERATIONS: Operations = {
    views.MediaView.get: Operation(
        "List files",
        query=MediaQuery,
        answers={200: MediaPage},
        paged=True,
        problems=["test_key_on_live", "live_key_on_sandbox"],
    ),
    views.MediaView.post: Operation(
        "Upload a file",
        "As a form with the field `file` (up to 100 MiB), as base64, or as a link that is fetched in the background. "
        "Its id can be sent many times, for 30 days after the last.",
        body=MediaInput,
        body_media={"multipart/form-data": _FORM},
        answers={201: MediaFile},
        problems=["media_empty", "media_quota_exceeded", "malformed_form"],
        example={"link": "https://example.com/picture.jpg"},
    ),
    views.OneMediaView.get: Operation("One file", "With a link to its content.", answers={200: OneMediaFile}),
    views.OneMediaView.delete: Operation(
        "Delete a file", "Messages that wait for it fail with `media_expired`.", answers={204: None}
    ),
    views.FetchView.post: Operation(
        "Fetch a received file",
        "One that the instance's policy left out, or that failed. `media.stored` or `media.failed` tells the outcome.",
        answers={202: MediaFile},
        problems=["media_not_fetchable"],
    ),
    views.ContentView.get: Operation(
        "The content of a file",
        "Or the part of it that a `Range` asks for. Where S3 keeps the files, it is a redirect to there.",
        answers={200: None, 206: None, 302: None},
        media=dict.fromkeys((*SHOWN, OCTETS), _BYTES),
        problems=[
            "media_not_stored",
            "range_not_satisfiable",
            "not_found",
            "unknown_parameter",
            "rate_limited",
            "unavailable",
        ],
        plain=True,
    ),
}
