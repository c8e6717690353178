"""The radiograph's bytes out of a request, in whichever of the ways it was sent."""

from __future__ import annotations

from collections.abc import Collection

from flask import Request

from app.errors import (
    InvalidParameterError,
    MissingFileError,
    UnsupportedEncodingError,
    UnsupportedMediaTypeError,
)

FIELD = "file"

_HOW = (
    f"Send multipart/form-data with the field {FIELD!r}, or the bytes themselves as image/*, "
    "application/dicom or application/octet-stream."
)
_RAW_TYPES = ("application/dicom", "application/octet-stream")
_ENCODINGS = ("br", "compress", "deflate", "gzip", "x-gzip", "zstd")
_FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")


def radiograph_bytes(request: Request) -> bytes:
    """The bytes that were sent as the multipart field ``file`` or as the body itself.

    Raises:
        MissingFileError: there is no file in the request.
        InvalidParameterError: there is more than one.
        UnsupportedMediaTypeError: the body is of a type that cannot be a radiograph.
        UnsupportedEncodingError: it is compressed.
        RequestEntityTooLarge: more bytes than the limit (by Werkzeug, while reading).
    """
    refuse_encoding(request)
    if request.mimetype.startswith("image/") or request.mimetype in _RAW_TYPES:
        return request.get_data(cache=False)
    if request.mimetype in _FORM_TYPES:
        return _from_form(request)
    if not request.mimetype:
        # RFC 9110, 8.3: without a type the recipient may take the bytes as they are.
        data = request.get_data(cache=False)
        if data:
            return data
        raise MissingFileError(_HOW)
    raise UnsupportedMediaTypeError(f"A body of this type cannot hold a radiograph. {_HOW}")


def refuse_encoding(request: Request) -> None:
    """Refuse a body that is compressed as a whole: nothing here bounds what it unpacks to.

    Raises:
        UnsupportedEncodingError: it is (RFC 9110 §8.4).
    """
    encoding = (request.content_encoding or "identity").strip().lower()
    if encoding != "identity":
        name = f" ({encoding})" if encoding in _ENCODINGS else ""
        raise UnsupportedEncodingError(
            f"The body has a Content-Encoding{name}, which is not undone here. Send it as it is."
        )


def refuse_repeated(request: Request) -> None:
    """Refuse a query that says one thing twice: one of the two would be passed over.

    Raises:
        InvalidParameterError: it does.
    """
    if any(len(values) > 1 for _, values in request.args.lists()):
        raise InvalidParameterError(
            "The address has one parameter several times, and it cannot be told which is meant."
        )


def refuse_fields(request: Request, names: Collection[str]) -> None:
    """Refuse a form that carries what belongs in the query, where it would change the reading.

    Args:
        names: of the query's parameters.

    Raises:
        InvalidParameterError: it does.
    """
    if request.mimetype not in _FORM_TYPES:
        return
    for name in names:
        if name in request.form or name in request.files:
            raise InvalidParameterError(
                f"{name!r} was sent as a field of the form, where it is not read: put it into the "
                f"address, as in {request.path}?{name}=VALUE."
            )


def _from_form(request: Request) -> bytes:
    # A browser sends a part without name and content when no file was chosen.
    files = [part for part in request.files.getlist(FIELD) if part.filename]
    if len(files) > 1:
        raise InvalidParameterError("Several files were sent: send one radiograph a request.")
    if files:
        return bytes(files[0].read())
    if FIELD in request.form:
        raise MissingFileError(
            f"The field {FIELD!r} holds text, not a file; with curl write -F {FIELD}=@name."
        )
    raise MissingFileError(f"The request carries no file. {_HOW}")
