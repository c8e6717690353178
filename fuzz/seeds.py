"""Small files and requests for the fuzzers to start from; none holds a radiograph.

python -m fuzz.seeds FOLDER        writes FOLDER/decode/* and FOLDER/http/*
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.app.multipart import BOUNDARY, multipart
from tests.bad_inputs import BAD_INPUTS, saved
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg, encode_png

_LARGEST = 40_000


def files() -> Iterator[bytes]:
    """One file of each format and encoding that is read, and the small ones that are refused."""
    grey = chest_phantom(72)
    picture = Image.fromarray(grey)
    yield encode_jpeg(grey)
    yield encode_jpeg(grey, progressive=True)
    yield encode_png(grey)
    for mode in ("1", "P", "RGBA", "LA"):
        yield saved("PNG", picture.convert(mode))
    yield saved("PNG", Image.fromarray(grey.astype(np.uint16) * 257))
    yield saved("JPEG", picture.convert("CMYK"))
    for compression in (None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield saved("TIFF", picture, compression=compression)
    yield saved("TIFF", picture, big_tiff=True)
    yield saved("TIFF", picture.convert("1"), compression="group4")
    yield saved("WEBP", picture.convert("RGB"))
    yield saved("WEBP", picture.convert("RGBA"), lossless=True)
    yield saved("BMP", picture)
    deep = grey.astype(np.uint16) * 16
    for syntax in (
        None,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ):
        options = {} if syntax is None else {"transfer_syntax": syntax}
        yield encode_dicom(deep, bits_stored=12, **options)
    for name, (make, _) in BAD_INPUTS.items():
        if "MB" not in name and "bomb" not in name and len(data := make()) < _LARGEST:
            yield data


def requests() -> Iterator[bytes]:
    """Bodies after a byte that chooses the media type (see ``fuzz/http.py``)."""
    film = encode_jpeg(chest_phantom(72))
    form = bytes(multipart(film, "film.jpg", model="pediatric-pneumonia")["data"])
    yield b"\0" + form
    yield b"\0" + form.replace(b"\r\n", b"\n")
    yield b"\0" + form[:-30]
    yield b"\0" + f"--{BOUNDARY}--\r\n".encode()
    yield b"\0" + form * 3
    yield b"\1" + b"file=x&model=y&heatmap=overlay"
    yield b"\2" + film
    yield b"\3" + encode_dicom(chest_phantom(72).astype(np.uint16))
    yield b"\4" + encode_png(chest_phantom(72))
    yield b"\5" + b'{"file": null}'


def write(folder: Path) -> None:
    """Write every seed under its hash."""
    for name, seeds in (("decode", files()), ("http", requests())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (folder / name / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
