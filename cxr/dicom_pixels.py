"""The grey-scale pipeline of DICOM: stored values → what a display shows (PS3.4 §N.2).

Modality LUT → VOI LUT or window → inversion of MONOCHROME1, in this order. A stored value
has at most 16 bits, so the whole pipeline is worked out once for each possible value and
the image is looked up in that table: exact, and an image of a hundred megapixels needs no
floating-point copies of itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_rescale, apply_windowing
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
WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def stored_values(dataset: Dataset) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decompress the pixels and keep the stored bits alone.

    Returns:
        Shape (rows, columns), uint8 or uint16 by Bits Allocated. Signed values (Pixel
        Representation 1) are shifted up by half of the range, so that they can be indices:
        ``display_values`` knows.

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


def display_values(
    stored: NDArray[np.uint8] | NDArray[np.uint16], dataset: Dataset
) -> NDArray[np.uint16]:
    """Apply the grey-scale pipeline of ``dataset`` to the values of ``stored_values``.

    Pixel padding (PS3.3 §C.7.5.1.1.2) is outside of the pipeline and comes out black.

    Returns:
        Shape of ``stored``, uint16, 0 black to 65535 white, bright = dense.
    """
    bits = bits_stored(dataset)
    lowest = -(1 << (bits - 1)) if is_signed(dataset) else 0
    levels = np.arange(lowest, lowest + (1 << bits), dtype=np.int32)
    padding = padding_levels(levels, dataset)
    modality = modality_values(levels, dataset)
    table = _value_of_interest(modality, dataset)
    if table is None:
        # No VOI transformation: PS3.3 §C.11.2 leaves the display open. The values that occur
        # are spread over the full scale, as viewers do; the range that could be stored is
        # often much wider and would come out nearly black.
        # calcHist and LUT work on 16 bits in place; numpy would widen every pixel to 64.
        counts = cv2.calcHist([stored], [0], None, [len(levels)], [0, len(levels)]).ravel()
        shown = (counts > 0) & ~padding
        used = modality[shown] if shown.any() else modality
        low, high = float(used.min()), float(used.max())
        table = (modality - low) / (high - low) if high > low else np.zeros(len(levels))
    if not np.isfinite(table).all():
        raise UnreadableImageError(
            "The grey scale of the DICOM file is not made of numbers. Export it again."
        )
    if str(dataset.PhotometricInterpretation).strip().upper() == "MONOCHROME1":
        # Last of all (PS3.3 §C.7.6.3.1.2). Presentation LUT Shape INVERSE says the same thing
        # again in a digital X-ray (PS3.3 §C.8.11.3.1.2) and must not turn it back.
        table = 1.0 - table
    table = np.where(padding, 0.0, np.clip(table, 0.0, 1.0))
    entries = np.zeros(1 << (stored.dtype.itemsize * 8), np.uint16)
    entries[: len(table)] = np.rint(table * 65535.0)
    if stored.dtype == np.uint8:
        return np.asarray(entries[stored])
    return np.asarray(cv2.LUT(stored, entries), np.uint16)


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


def padding_levels(levels: NDArray[np.int32], dataset: Dataset) -> NDArray[np.bool_]:
    """Which stored values are padding."""
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return np.zeros(levels.shape, np.bool_)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    return np.asarray((levels >= ends[0]) & (levels <= ends[1]))


def modality_values(levels: NDArray[np.int32], dataset: Dataset) -> NDArray[np.float64]:
    """Modality LUT or rescale (PS3.3 §C.11.1): stored values → physical or device values."""
    items = dataset.get("ModalityLUTSequence")
    if items:
        return _look_up(levels, items[0], dataset)[0]
    if dataset.get("RescaleSlope") is None or dataset.get("RescaleIntercept") is None:
        return levels.astype(np.float64)
    values = np.asarray(apply_rescale(levels, dataset), np.float64)
    if values[0] == values[-1] or not np.isfinite(values).all():
        raise UnreadableImageError(
            "The rescale slope of the DICOM file is zero or not a number. Export it again."
        )
    return values


def _value_of_interest(values: NDArray[np.float64], dataset: Dataset) -> NDArray[np.float64] | None:
    """VOI LUT or window (PS3.3 §C.11.2) → 0 to 1; None where there is no usable one.

    The first of several is taken, and a LUT before a window: they are alternative views
    (§C.11.2.1.1), and a LUT is the one that was made for this image.
    """
    items = dataset.get("VOILUTSequence")
    if items and "LUTDescriptor" in items[0] and "LUTData" in items[0]:
        entries, largest = _look_up(values, items[0], dataset)
        return entries / largest
    center = first_number(dataset.get("WindowCenter"))
    width = first_number(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in WINDOW_FUNCTIONS:
        function = "LINEAR"  # the default of §C.11.2.1.3
    least = 1.0 if function == "LINEAR" else np.finfo(float).tiny  # §C.11.2.1.2.1
    if center is None or width is None or not width >= least:
        return None
    # pydicom works the output range out of the whole header, upside down for a negative
    # slope. What is beyond the window shows the range, so it is asked for the infinities.
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = 16, 0
    window.WindowCenter, window.WindowWidth = center, width
    window.VOILUTFunction = function
    with np.errstate(over="ignore"):
        shown = apply_windowing(np.concatenate((values, (-np.inf, np.inf))), window)
    return np.asarray((shown[:-2] - shown[-2]) / (shown[-1] - shown[-2]), np.float64)


def first_number(value: Any) -> float | None:
    """The first of one or several decimal strings."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        value = next(iter(value), None)
    return None if value in (None, "") else float(value)


def _look_up(
    values: NDArray[np.int32] | NDArray[np.float64], item: Dataset, dataset: Dataset
) -> tuple[NDArray[np.float64], float]:
    """Look ``values`` up in one item of a LUT sequence (PS3.3 §C.11.1.1, §C.11.2.1.1).

    Values before the first mapped one give the first entry, values after the last give the
    last. pydicom's own functions go wrong here: with entries of 8 bits they also keep the
    *index* in 8 bits, and a negative first value overflows unsigned pixels.

    Returns:
        The entries, and the largest one that the descriptor's bit depth allows.
    """
    count, first, depth = (int(number) for number in item.LUTDescriptor)
    count = count or 1 << 16
    data: Any = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        packed = len(data) < 2 * count  # 8-bit entries without padding
        entries = np.frombuffer(data, "u1" if packed else f"{order}u2")
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64))
    if not 8 <= depth <= 16 or len(entries) < count:
        raise UnreadableImageError(_CUT_SHORT)
    positions = np.arange(first, first + count, dtype=np.float64)
    shown = np.interp(values, positions, entries[:count].astype(np.float64))
    return shown, float((1 << depth) - 1)
