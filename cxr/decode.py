"""bytes → Radiograph: the one way in, for training and serving alike."""

from __future__ import annotations

import threading

from cxr.errors import EmptyFileError, TooLargeError
from cxr.radiograph import DicomFields, ImageFormat, Limits, Pixels, Radiograph
from cxr.raster import read_raster
from cxr.sniff import sniff

__all__ = ["DicomFields", "ImageFormat", "Limits", "Pixels", "Radiograph", "decode"]

DEFAULT_LIMITS = Limits()
_importing = threading.Lock()


def decode(
    data: bytes, limits: Limits = DEFAULT_LIMITS, *, reduce_to: int | None = None
) -> Radiograph:
    """Read one radiograph: JPEG, PNG, TIFF, WebP, BMP or DICOM, told apart by content.

    Args:
        data: the whole file.
        limits: bytes, pixels and sides that are accepted.
        reduce_to: a JPEG may be decoded at a half, a quarter or an eighth of its scale as
            long as its shorter side keeps this many pixels. None: full scale. The other
            formats have no cheaper scale and ignore it.

    Returns:
        The radiograph, bright = dense; see ``Radiograph`` for shape, dtype and range.

    Raises:
        EmptyFileError: no bytes.
        TooLargeError: more bytes than ``limits.max_bytes``.
        TooManyPixelsError: the header announces too many; nothing was decoded.
        UnsupportedFormatError: not a format, or not an encoding, that is read here.
        UnreadableImageError: truncated or damaged.
        UnsuitableImageError: readable, but not a single grey projection image.
    """
    if not data:
        raise EmptyFileError("The file is empty. Choose it again, or export it anew.")
    if len(data) > limits.max_bytes:
        raise TooLargeError(
            f"The file has {len(data) / 1e6:.1f} MB; at most {limits.max_bytes / 1e6:.1f} MB are "
            "read. Export it with compression or at a lower resolution."
        )
    kind = sniff(data)
    if kind == "DICOM":
        # pydicom takes as long to import as all the rest of a service.
        prepare_dicom()
        from cxr.dicom import read_dicom

        return read_dicom(data, limits)
    return read_raster(data, kind, limits, reduce_to=reduce_to)


def prepare_dicom() -> None:
    """Import what only DICOM files need; whoever needs it calls this first.

    A service does so when it is ready, and the first films may come meanwhile. Two threads that
    enter pydicom by different modules would hold each other's locks, and Python lets one of
    them go on with a module that is only begun.
    """
    with _importing:
        import cxr.dicom
        import cxr.film  # noqa: F401
