"""The request class: an upload is never written to disk."""

from __future__ import annotations

from io import BytesIO
from typing import IO

from flask import Request

# Form fields, part headers and boundaries that come on top of the file itself.
MULTIPART_OVERHEAD_BYTES = 64 * 1024


class MemoryRequest(Request):
    """A request whose uploaded files live in memory only.

    Werkzeug spools files over 500 kB into a temporary file: a radiograph would touch the
    disk and could stay there after a crash.
    """

    max_form_parts = 16

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return BytesIO()
