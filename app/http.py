"""Uploads: never written to disk, and bounded."""

from __future__ import annotations

from io import BytesIO
from typing import IO

from flask import Flask, Request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.utils import cached_property

from app.errors import InvalidParameterError

# Form fields, part headers and boundaries that come on top of the file itself.
MULTIPART_OVERHEAD_BYTES = 64 * 1024


class WholeBody(BytesIO):
    """All of a request's body, as long as its ``Content-Length`` says, and nothing else."""

    #: What gunicorn asks of a body: whether reading it broke off.
    failed = False


class MemoryRequest(Request):
    """A request whose uploaded files live in memory only.

    Werkzeug spools files over 500 kB into a temporary file: a radiograph would touch the
    disk and could stay there after a crash.
    """

    max_form_parts = 16

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body, within its limits; a whole one is not copied on the way.

        Raises:
            RequestEntityTooLarge: it is longer than the limit.
        """
        within_limits: IO[bytes] = super().stream
        given = self.environ["wsgi.input"]
        return given if isinstance(given, WholeBody) else within_limits

    def _load_form_data(self) -> None:
        """Parse the form, where the request has one.

        Raises:
            RequestEntityTooLarge: the body is longer than the limit.
            InvalidParameterError: it is not, but has too many parts or too much text.
        """
        body, limit = self.stream, self.max_content_length or 0
        try:
            super()._load_form_data()
        except RequestEntityTooLarge:  # Werkzeug's word for either
            if body.tell() >= limit:
                raise
            raise InvalidParameterError(
                f"The form has more than {self.max_form_parts} parts, or more than "
                f"{(self.max_form_memory_size or 0) // 1000} kB of text. Send the radiograph as "
                "a file and leave the rest out."
            ) from None

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return BytesIO()


def init_app(app: Flask, max_upload_bytes: int) -> None:
    """Keep uploads in memory, and bound them."""
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = max_upload_bytes + MULTIPART_OVERHEAD_BYTES
