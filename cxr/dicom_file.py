"""bytes → the elements of a DICOM file that are read here, within bounds on the work.

pydicom walks through whatever a file says it holds, so the bounds are kept around it: on the
reading steps, on what a deflated file unfolds to, and on the length of every value.
"""

from __future__ import annotations

import io
import zlib
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cxr.errors import (
    DAMAGED,
    TooLargeError,
    UnreadableImageError,
    UnsuitableImageError,
    UnsupportedFormatError,
)
from cxr.radiograph import Limits

_ELEMENTS = [
    "SOPClassUID",
    "Modality",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "ViewPosition",
    "ViewCodeSequence",
    "PatientOrientation",
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "PixelData",
]

# Reading steps of pydicom: two or three for each element, wherever it is nested. Radiographs
# have some hundreds of elements; a file of 32 MB has room for four million empty ones.
_MAX_READS = 50_000
# Length of one element beside the pixels. The longest that is read here is a look-up table of
# 64 k entries; a sequence may hold several views of it.
_MAX_ELEMENT_BYTES = 512 * 1024
_MAX_TEXT_BYTES = 4 * 1024
_MAX_FRAGMENTS = 10_000
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"

# How far a deflated data set may unfold, in multiples of the byte limit. Radiographs
# deflate to a half or a third; a bomb unfolds a thousand times.
_DEFLATE_RATIO = 4

#: (7FE0,0010) with the two representations that compressed pixels may have (PS3.5 §A.4).
_PIXEL_DATA_STARTS = (b"\xe0\x7f\x10\x00OB", b"\xe0\x7f\x10\x00OW")

# The two transfer syntaxes, padded to one length as UIDs are (PS3.5 §9.1).
_PLAIN_SYNTAX = (
    str(DeflatedExplicitVRLittleEndian).encode(),
    str(ExplicitVRLittleEndian).encode().ljust(len(DeflatedExplicitVRLittleEndian), b"\0"),
)
#: Little-endian pixels lie in such a file as they are read here.
_AS_STORED = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
)
_PIXEL_DATA = Tag("PixelData")
_SEQUENCES = tuple(map(Tag, (keyword for keyword in _ELEMENTS if keyword.endswith("Sequence"))))


def _too_many_elements() -> UnsuitableImageError:
    return UnsuitableImageError(
        "The DICOM file has more elements than any radiograph. Export the image again."
    )


class _CountedReader(io.BytesIO):
    """Bytes that can be asked for so often and no more."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > _MAX_READS:
            raise _too_many_elements()
        return super().read(size)


class _LendingReader(_CountedReader):
    """The same, which lends long values instead of copying them: pixels, and no others."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._view = memoryview(data)

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size <= _MAX_ELEMENT_BYTES:
            return super().read(size)
        place = self.tell()
        super().read(0)  # counted
        self.seek(min(place + size, len(self._view)))
        return self._view[place : place + size]  # type: ignore[return-value]


def parse(data: bytes, limits: Limits) -> Dataset:
    """The elements of ``_ELEMENTS`` that the file has, with its file meta information.

    Args:
        limits: ``max_bytes`` bounds what a deflated file unfolds to.

    Raises:
        TooLargeError, UnsupportedFormatError, UnreadableImageError, UnsuitableImageError: as
            ``read_dicom``.
        Exception: whatever pydicom raises on damaged bytes.
    """
    has_preamble = data[128:132] == b"DICM"
    syntax, start = _transfer_syntax(data) if has_preamble else (None, 0)
    if syntax == DeflatedExplicitVRLittleEndian:
        data = _unfolded(data, start, limits)
    reader = (_LendingReader if syntax in _AS_STORED else _CountedReader)(data)
    try:
        dataset = dcmread(reader, force=not has_preamble, specific_tags=list(_ELEMENTS))
    except Exception:
        if reader.reads > _MAX_READS:  # within a sequence pydicom makes another error of it
            raise _too_many_elements() from None
        raise
    _refuse_long_elements(dataset)
    if not has_preamble and "Rows" not in dataset and "SOPClassUID" not in dataset:
        raise UnsupportedFormatError(
            "The content is of no image format that is read here. Export the radiograph as "
            "PNG, JPEG, TIFF or DICOM and send that."
        )
    if "PixelData" not in dataset and any(start in data for start in _PIXEL_DATA_STARTS):
        # pydicom drops compressed pixels that are cut off, with a warning only.
        raise UnreadableImageError(DAMAGED.format("DICOM"))
    if not dataset.file_meta.get("TransferSyntaxUID"):
        # Without file meta information the data set itself shows how it is encoded.
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _transfer_syntax(data: bytes) -> tuple[str | None, int]:
    """What the file meta information says, and the byte at which it ends (PS3.10 §7.1)."""
    stream = _CountedReader(data)
    stream.seek(132)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    return meta.get("TransferSyntaxUID"), stream.tell()


def _unfolded(data: bytes, start: int, limits: Limits) -> bytes:
    """A deflated file (PS3.5 §A.5) as explicit VR little endian.

    Unfolded here and not by pydicom, which knows no bound and cannot be counted.

    Args:
        start: of what is deflated.
    """
    head, rest = data[:start], data[start:]
    most = _DEFLATE_RATIO * limits.max_bytes
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    pieces, length = [head.replace(*_PLAIN_SYNTAX, 1)], 0
    while rest and not inflater.eof:
        piece = inflater.decompress(rest, 1 << 20)
        rest = inflater.unconsumed_tail
        pieces.append(piece)
        length += len(piece)
        if length > most:
            raise TooLargeError(
                f"The deflated DICOM file unfolds to more than {most / 1e6:.0f} MB. Export it "
                "uncompressed or at a lower resolution."
            )
    if not inflater.eof:
        raise UnreadableImageError(DAMAGED.format("DICOM"))
    return b"".join(pieces)


def _refuse_long_elements(dataset: Dataset) -> None:
    """Refuse values that would take long to convert, before anybody asks for them."""
    for tag in dataset.keys():  # noqa: SIM118  # a Dataset iterates over converted elements
        element: Any = dataset.get_item(tag)
        if not isinstance(element, RawDataElement) or element.value is None:
            continue
        if tag != _PIXEL_DATA:
            most = _MAX_ELEMENT_BYTES if tag in _SEQUENCES else _MAX_TEXT_BYTES
            if len(element.value) > most:
                raise UnreadableImageError(DAMAGED.format("DICOM"))
        elif element.length == _UNDEFINED_LENGTH and element.value.count(_ITEM) > _MAX_FRAGMENTS:
            raise UnreadableImageError(DAMAGED.format("DICOM"))
