"""The tree of domain errors.

Every refusal carries a stable ``code`` (part of the HTTP contract) and a ``detail``: one
or two sentences for the person who sent the file, which say what was wrong and what to
do. None of them knows about HTTP; ``app/errors.py`` translates.
"""

#: The sentence of most ``UnreadableImageError``, for a format's name.
DAMAGED = "The {} file is damaged or cut short. Export or transfer it again."


class CxrError(Exception):
    """Base of all errors that this project raises on purpose.

    Attributes:
        code: stable machine-readable identifier.
        detail: sentence for a person; never contains patient data.
    """

    code = "internal_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class RadiographError(CxrError):
    """The bytes that were sent cannot be read as a radiograph.

    Attributes:
        reason: stable identifier of what is to be put right, finer than ``code``; None where
            the code says it all.
    """

    def __init__(self, detail: str, *, reason: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason


class EmptyFileError(RadiographError):
    """No bytes at all."""

    code = "empty_file"


class TooLargeError(RadiographError):
    """More bytes than the limit."""

    code = "too_large"


class TooManyPixelsError(RadiographError):
    """The header announces more pixels than the limit; nothing was decoded."""

    code = "too_many_pixels"


class UnsupportedFormatError(RadiographError):
    """The content is of no format that is read here."""

    code = "unsupported_format"


class UnreadableImageError(RadiographError):
    """The format is known, but the content is damaged."""

    code = "unreadable_image"


class UnsuitableImageError(RadiographError):
    """A readable image that cannot be a single projection radiograph."""

    code = "unsuitable_image"


class NotAChestXrayError(RadiographError):
    """A readable image that is not a frontal chest radiograph."""

    code = "not_a_chest_xray"


class BundleError(CxrError):
    """A model bundle is missing, damaged, or does not belong to its weights."""

    code = "bundle_error"
