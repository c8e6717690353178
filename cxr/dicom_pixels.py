"""The stored values of a DICOM file: decompressed, within bounds, and without foreign bits."""

from __future__ import annotations

import struct

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from cxr import jpeg_plugin
from cxr.errors import DAMAGED, UnreadableImageError
from cxr.radiograph import Pixels

_CUT_SHORT = DAMAGED.format("DICOM")
jpeg_plugin.register()
# One decoder for each: where pydicom has several it tries them all, down to one in Python that
# would unfold an RLE bomb for minutes.
_PLUGINS = {
    **dict.fromkeys(jpeg_plugin.DECODER_DEPENDENCIES, jpeg_plugin.LABEL),
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    RLELossless: "pylibjpeg",
}
_CONTRADICTION = (
    "The compressed picture has more bits than the header of the DICOM file says, so its grey "
    "levels would be guessed. Export it again."
)


def stored_values(dataset: Dataset) -> Pixels:
    """Decompress the pixels and keep the stored bits alone.

    Returns:
        Shape (rows, columns), uint8 or uint16 by Bits Allocated. Signed values (Pixel
        Representation 1) are shifted up by half of the range, so that they can be indices:
        ``cxr/dicom_grey.py`` knows.

    Raises:
        NotImplementedError: a transfer syntax without a decoder.
        UnreadableImageError: the picture is cut short or of another size.
        Exception: whatever the decoders raise on damaged bytes.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = get_decoder(syntax)
    if syntax.is_encapsulated:
        _check_codestream(dataset)
    else:
        _check_length(dataset)
    try:
        raw, _ = decoder.as_array(
            dataset,
            index=0,
            raw=True,
            decoding_plugin=_PLUGINS.get(syntax, ""),
            # It knows nothing of High Bit, which is honoured below. Nothing writes into a view.
            **{"correct_unused_bits": False, "view_only": True},  # type: ignore[arg-type]
        )
    except BaseException as error:
        # The RLE decoder is written in Rust and panics on some damage, which Python sees as an
        # exception beside Exception: it would end a worker.
        if type(error).__name__ == "PanicException":
            raise UnreadableImageError(_CUT_SHORT) from None
        raise
    if raw.shape != (int(dataset.Rows), int(dataset.Columns)):
        raise UnreadableImageError(_CUT_SHORT)
    bits_allocated = int(dataset.BitsAllocated)
    if raw.dtype.itemsize * 8 > bits_allocated:
        raise UnreadableImageError(_CONTRADICTION)
    values = raw.astype(f"u{bits_allocated // 8}", copy=False)
    bits = bits_stored(dataset)
    if not syntax.is_encapsulated:
        # Retired writers put overlays into the unused bits (PS3.5 §8.1.1): drop them.
        high_bit = dataset.get("HighBit")
        shift = 0 if high_bit is None else int(high_bit) + 1 - bits
        if not 0 <= shift <= bits_allocated - bits:
            raise UnreadableImageError(_CUT_SHORT)
        if shift:
            values = values >> shift
    largest = (1 << bits) - 1
    if bits < bits_allocated and int(values.max()) > largest:  # rarely: a copy saved
        if syntax.is_encapsulated and not is_signed(dataset):
            raise UnreadableImageError(_CONTRADICTION)
        values = values & values.dtype.type(largest)
    if is_signed(dataset):
        values = values ^ values.dtype.type(1 << (bits - 1))
    return np.ascontiguousarray(values)


def bits_stored(dataset: Dataset) -> int:
    allocated = int(dataset.BitsAllocated)
    bits = int(dataset.get("BitsStored") or allocated)
    if not 1 <= bits <= allocated:
        raise UnreadableImageError(_CUT_SHORT)
    return bits


def is_signed(dataset: Dataset) -> bool:
    return int(dataset.get("PixelRepresentation") or 0) == 1


def _check_length(dataset: Dataset) -> None:
    """Refuse more uncompressed pixels than the header announces (PS3.5 §8.1.1).

    Half of a film would be read as a film. Padding is shorter than a row.
    """
    row = int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    if len(dataset.PixelData) > (int(dataset.Rows) + 1) * row:
        raise UnreadableImageError(
            "The DICOM file holds more pixels than its Rows and Columns say, so a part of the film "
            "would be missing. Export it again."
        )


def _check_codestream(dataset: Dataset) -> None:
    """Refuse a compressed frame that is cut short or announces another size than the header.

    The codecs allocate what the codestream announces, which nobody has compared with the
    limits, and some of them fill the end of a truncated picture with grey.
    """
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        return  # has no header of its own, and its decoder stops at the size it is given
    if syntax in JPEG2000TransferSyntaxes:
        shape = _jpeg_2000_shape(frame)
    elif syntax in JPEGTransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        shape = _jpeg_shape(frame)
    else:
        raise NotImplementedError("no check of the codestream, so no decoding")
    whole = frame.rfind(b"\xff\xd9") > frame.rfind(b"\xff\xda")
    if not whole or shape != (int(dataset.Rows), int(dataset.Columns), 1):
        raise UnreadableImageError(_CUT_SHORT)


def _jpeg_shape(frame: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, components) of a JPEG (ITU-T T.81 §B.2.2) or JPEG-LS (T.87) header."""
    position = 2
    while position + 10 <= len(frame):
        marker = int.from_bytes(frame[position : position + 2], "big")
        if marker == 0xFFFF:  # a fill byte
            position += 1
            continue
        start_of_frame = 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC)
        if start_of_frame or marker == 0xFFF7:
            rows, columns, components = struct.unpack_from(">HHB", frame, position + 5)
            return rows, columns, components
        position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
    return None


def _jpeg_2000_shape(frame: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, components) of the SIZ marker segment (ITU-T T.800 §A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51")  # some writers wrap the codestream into boxes
    if start < 0 or len(frame) < start + 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
    components = int.from_bytes(frame[start + 40 : start + 42], "big")
    return bottom - top, right - left, components
