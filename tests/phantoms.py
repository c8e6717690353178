"""Synthetic chest radiographs, so that tests need no patient's image.

``chest_phantom`` draws what a frontal film shows: a bright mediastinum and heart, two
dark lungs crossed by ribs, bright diaphragms, shoulders, and air around the body. The
encoders beside it put any grey picture into the formats that are read.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

Grey = NDArray[np.integer[Any]]

# Written by the test helper so that a test can prove that no reading carries them on.
PATIENT_NAME = "Phantom^Secret"
PATIENT_ID = "ID-4711"
STUDY_DATE = "20240229"


def chest_phantom(size: int = 512, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a frontal chest-like picture; each seed gives another build and noise.

    Returns:
        uint8, shape (size, size), bright = dense.
    """
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size)
    jitter = generator.uniform(-1.0, 1.0, 8)

    def ellipse(cx: float, cy: float, rx: float, ry: float, edge: float = 0.06) -> Any:
        distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        return np.clip((1.0 + edge - distance) / (2 * edge), 0.0, 1.0)

    body = np.maximum(ellipse(0.5, 0.75, 0.46, 0.72), ellipse(0.5, 0.02, 0.1, 0.3))
    picture = 0.05 + 0.5 * body
    half_width = 0.155 + 0.01 * jitter[0]
    height = 0.34 + 0.02 * jitter[1]
    lungs = np.zeros_like(picture)
    for side, diaphragm in ((-1.0, 0.74), (1.0, 0.77)):  # the right dome stands higher
        centre = 0.5 + side * (0.21 + 0.01 * jitter[2])
        lung = ellipse(centre, 0.48, half_width, height)
        dome = ellipse(centre, diaphragm + 0.3 + 0.01 * jitter[3], 0.26, 0.3)
        lungs = np.maximum(lungs, lung * (1.0 - dome))
    picture -= 0.37 * lungs
    for rib in range(8):  # posterior ribs slope down and outwards
        level = 0.2 + 0.075 * rib + 0.004 * jitter[4]
        offset = np.abs(x - 0.5)
        line = level + 0.35 * (offset - 0.1) ** 2 + 0.12 * offset
        across = np.exp(-(((y - line) / 0.011) ** 2))
        picture += 0.11 * across * body * (offset > 0.06)
    for side in (-1.0, 1.0):  # clavicles
        line = 0.17 - 0.1 * np.abs(x - 0.5)
        picture += 0.08 * np.exp(-(((y - line) / 0.012) ** 2)) * (side * (x - 0.5) > 0.04) * body
    # Spine, heart and ribs lie over each other: the densest rules, their sum would be white.
    spine = 0.3 * ellipse(0.5, 0.5, 0.055, 0.6, 0.3) * body
    heart_width, heart_right = 0.13 + 0.015 * jitter[6], 0.56 + 0.01 * jitter[5]
    heart = 0.62 * ellipse(heart_right, 0.6, heart_width, 0.14, 0.1)
    picture = np.maximum(picture + spine, heart + 0.15 * (picture - 0.3) * (heart > 0))
    picture += 0.12 * np.clip((y - 0.72) / 0.2, 0.0, 1.0) * body  # abdomen
    grain = generator.normal(0.0, 1.0, (size, size)).astype(np.float32)
    picture += 0.025 * cv2.GaussianBlur(grain, (0, 0), max(size / 256, 0.5))
    return np.clip(picture * 255.0, 0, 255).astype(np.uint8)


def encode_png(pixels: Grey) -> bytes:
    """PNG of the dtype's own depth: uint8 → 8-bit, uint16 → 16-bit."""
    return _encode(".png", pixels, [])


def encode_jpeg(pixels: Grey, quality: int = 95, *, progressive: bool = False) -> bytes:
    """8-bit JPEG; grey for 2-D input, BGR colour for 3-D input."""
    return _encode(
        ".jpg",
        pixels,
        [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)],
    )


def _encode(suffix: str, pixels: Grey, options: list[int]) -> bytes:
    done, encoded = cv2.imencode(suffix, pixels, options)
    assert done
    return encoded.tobytes()


def dicom_dataset(
    pixels: Grey,
    *,
    photometric: str = "MONOCHROME2",
    bits_stored: int | None = None,
    modality: str | None = "DX",
    fields: Mapping[str, Any] | None = None,
) -> Dataset:
    """A digital radiograph as a DICOM data set, explicit VR little endian, uncompressed.

    Args:
        pixels: as displayed (bright = dense), 2-D, signed or unsigned 8 or 16 bit. For
            MONOCHROME1 the stored values are turned over so that they display the same.
        bits_stored: default: all bits of the dtype.
        modality: None leaves the element out.
        fields: elements by keyword, set last; None deletes one.
    """
    bits_allocated = pixels.dtype.itemsize * 8
    bits = bits_stored or bits_allocated
    signed = pixels.dtype.kind == "i"
    if photometric == "MONOCHROME1":
        total = -1 if signed else (1 << bits) - 1  # lowest + highest storable value
        pixels = (total - pixels.astype(np.int32)).astype(pixels.dtype)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = PATIENT_ID
    dataset.StudyDate = STUDY_DATE
    if modality is not None:
        dataset.Modality = modality
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.PatientAge = "004Y"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = bits_allocated
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(signed)
    data = pixels.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if bits_allocated == 16 else "OB"
    for keyword, value in (fields or {}).items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def write_dicom(dataset: Dataset, transfer_syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The DICOM file of ``dataset``, compressed to ``transfer_syntax`` where that asks for it."""
    if transfer_syntax == ExplicitVRBigEndian:
        if dataset.BitsAllocated == 16:
            words = np.frombuffer(dataset.PixelData, "<u2")
            dataset.PixelData = words.byteswap().tobytes()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    elif transfer_syntax in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
    ):
        dataset.file_meta.TransferSyntaxUID = transfer_syntax
    else:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def encode_dicom(
    pixels: Grey,
    *,
    transfer_syntax: str = ExplicitVRLittleEndian,
    photometric: str = "MONOCHROME2",
    bits_stored: int | None = None,
    modality: str | None = "DX",
    fields: Mapping[str, Any] | None = None,
) -> bytes:
    """A DICOM file that displays as ``pixels``; see ``dicom_dataset`` and ``write_dicom``."""
    dataset = dicom_dataset(
        pixels,
        photometric=photometric,
        bits_stored=bits_stored,
        modality=modality,
        fields=fields,
    )
    return write_dicom(dataset, transfer_syntax)
