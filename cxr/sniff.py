"""What a file is, by its content: a name or a media type can say anything."""

from __future__ import annotations

from cxr.errors import UnsupportedFormatError
from cxr.radiograph import ImageFormat

_EXPORT = "Export the radiograph as PNG, JPEG, TIFF or DICOM and send that."
_UNPACK = "Unpack it and send one radiograph at a time."

# (first bytes, what it is, what to do). The first match wins.
_KNOWN_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF document", _EXPORT),
    (b"PK\x03\x04", "a ZIP archive or an office document", _UNPACK),
    (b"PK\x05\x06", "an empty ZIP archive", _UNPACK),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"GIF87a", "a GIF image", _EXPORT),
    (b"GIF89a", "a GIF image", _EXPORT),
    (b"\xff\xd8\xff\xf7", "a bare JPEG-LS stream", _EXPORT),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image", _EXPORT),
    (b"\xff\x4f\xff\x51", "a bare JPEG 2000 stream", _EXPORT),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL image", _EXPORT),
    (b"\xff\x0a", "a bare JPEG XL stream", _EXPORT),
    (b"8BPS", "a Photoshop document", _EXPORT),
    (b"%!PS", "a PostScript document", _EXPORT),
    (b"{\\rtf", "a rich text document", _EXPORT),
    (b"\xd0\xcf\x11\xe0", "an office document", _EXPORT),
    (b"\x00\x00\x01\x00", "an icon", _EXPORT),
    (b"NRRD", "an NRRD volume", _EXPORT),
    (b"MZ", "a Windows program", _EXPORT),
    (b"\x7fELF", "a program", _EXPORT),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video", _EXPORT),
    (b"ID3", "a sound file", _EXPORT),
    (b"OggS", "a sound file", _EXPORT),
)

# Brands of ISO base media files: bytes 8..12 after "ftyp" (ISO/IEC 14496-12 §4.3).
_MEDIA_BRANDS: dict[bytes, str] = {
    b"heic": "an HEIC photograph",
    b"heix": "an HEIC photograph",
    b"mif1": "an HEIC photograph",
    b"msf1": "an HEIC photograph",
    b"avif": "an AVIF image",
    b"avis": "an AVIF image",
}

_BMP_HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
# Group numbers a data set without preamble starts with: file meta information or identifying.
_DICOM_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def sniff(data: bytes) -> ImageFormat:
    """Name the format of ``data`` by its first bytes.

    Raises:
        UnsupportedFormatError: none of the formats that are read here; the detail says
            what the file is instead, where that can be told.
    """
    if data[128:132] == b"DICM":
        return "DICOM"
    for magic, description, advice in _KNOWN_OTHERS:
        if data.startswith(magic):
            raise _unsupported(description, advice)
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")):
        return "TIFF"
    if data.startswith(b"RIFF"):
        if data[8:12] == b"WEBP":
            return "WEBP"
        raise _unsupported("a sound or video file", _EXPORT)
    if data[4:8] == b"ftyp":
        raise _unsupported(_MEDIA_BRANDS.get(data[8:12], "a video"), _EXPORT)
    # "BM" alone could begin a sentence.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if looks_like_dicom_without_preamble(data):
        return "DICOM"
    raise _describe_text(data)


def looks_like_dicom_without_preamble(data: bytes) -> bool:
    """Whether ``data`` starts with a plausible DICOM element instead of the preamble.

    Old writers left out the 128 bytes and "DICM" of PS3.10 §7.1. A first element of group
    0002 or 0008 with a small element number and either two capitals (explicit VR) or a
    short length (implicit VR) is taken for one; anything less would call noise DICOM.
    """
    if len(data) < 16 or not data.startswith(_DICOM_FIRST_GROUPS):
        return False
    big = data.startswith(b"\x00\x08")
    element = int.from_bytes(data[2:4], "big" if big else "little")
    explicit = data[4:6].isalpha() and data[4:6].isupper()
    implicit = not big and int.from_bytes(data[4:8], "little") <= 1024
    return element <= 0x0070 and (explicit or implicit)


def _describe_text(data: bytes) -> UnsupportedFormatError:
    """Tell HTML, SVG, JSON and plain text from bytes that mean nothing here."""
    head = data[:1024]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _unsupported("a text file", _EXPORT)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if b"<svg" in text:
        return _unsupported("an SVG drawing", _EXPORT)
    if text.startswith((b"<!doctype html", b"<html")):
        return _unsupported("a web page", "Save the image itself, not the page around it.")
    if text.startswith(b"<?xml"):
        return _unsupported("an XML document", _EXPORT)
    printable = all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in head)
    if printable:
        try:
            head.decode("utf-8")
        except UnicodeDecodeError as error:
            printable = error.start > len(head) - 4  # a character cut at the end of the head
    if printable:
        kind = "a JSON document" if text.startswith((b"{", b"[")) else "a text file"
        return _unsupported(kind, _EXPORT)
    return UnsupportedFormatError(f"The content is of no image format that is read here. {_EXPORT}")


def _unsupported(description: str, advice: str) -> UnsupportedFormatError:
    return UnsupportedFormatError(f"This is {description}, not a radiograph. {advice}")
