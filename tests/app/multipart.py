"""A file as a multipart form, made in memory.

Werkzeug's test client spools a larger form into a temporary file that it does not close.
"""

from __future__ import annotations

from typing import Any

BOUNDARY = "----xray-test-boundary"


def multipart(data: bytes, filename: str = "film.jpg", **fields: str) -> dict[str, Any]:
    """Arguments for ``client.post``: the field ``file`` and other, textual, fields."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"'
    parts += [head.encode(), b"\r\n\r\n", data, f"\r\n--{BOUNDARY}--\r\n".encode()]
    return {
        "data": b"".join(parts),
        "content_type": f"multipart/form-data; boundary={BOUNDARY}",
    }
