"""What the benchmarks read: one real radiograph, as clinicians would send it."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cxr.decode import decode
from cxr.radiograph import to_eight_bits


@dataclass(frozen=True)
class Film:
    """One encoding of the radiograph."""

    name: str
    content_type: str
    data: bytes


def films() -> list[Film]:
    """A 2048² JPEG, a 1024² PNG, a 224² JPEG and a 2 k DICOM of pydicom-data's chest film."""
    try:
        from data_store import DataStore
    except ImportError:
        sys.exit("No radiograph: install the package pydicom-data (make test does).")
    dicom = Path(DataStore().get_path("RG1_UNCR.dcm")).read_bytes()
    return [*encodings(dicom), Film("2 k DICOM", "application/dicom", dicom)]


def encodings(film: bytes) -> list[Film]:
    """Any film as a 2048² JPEG, a 1024² PNG and a 224² JPEG, of 8 bits."""
    grey = Image.fromarray(to_eight_bits(decode(film).pixels))
    made = []
    for name, side, options in (
        ("2048² JPEG", 2048, {"format": "JPEG", "quality": 75}),
        ("1024² PNG", 1024, {"format": "PNG"}),
        ("224² JPEG", 224, {"format": "JPEG", "quality": 90}),
    ):
        buffer = io.BytesIO()
        grey.resize((side, side)).save(buffer, **options)
        content_type = f"image/{options['format'].lower()}"
        made.append(Film(name, content_type, buffer.getvalue()))
    return made
