"""Proper CR and DX objects made from a picture, in several syntaxes; and broken ones."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from tests.phantoms import chest_phantom

PATIENT_NAME = "Zwölfender^Ottilie"
PATIENT_ID = "PID-4711-0815"
BIRTH_DATE = "19610203"
STUDY_DATE = "20260102"
ACCESSION = "ACC0042"
#: None of these may be seen outside the objects themselves.
SECRETS = ("Zwölfender", "Ottilie", PATIENT_ID, BIRTH_DATE, STUDY_DATE, ACCESSION, "Wintersmith")

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)


def film(
    pixels: NDArray[Any] | None = None,
    *,
    inverted: bool = False,
    digital: bool = False,
    syntax: str = ExplicitVRLittleEndian,
    **fields: Any,
) -> Dataset:
    """A 12-bit CR or DX chest film.

    Args:
        pixels: uint16, bright = dense, at most 4095; a phantom when None.
        inverted: store it as MONOCHROME1.
        digital: DX instead of CR.
        fields: elements that replace or add to the usual ones; None removes one.
    """
    if pixels is None:
        pixels = chest_phantom(256).astype(np.uint16) * 16
    stored = (4095 - pixels if inverted else pixels).astype(np.uint16)
    dataset = Dataset()
    dataset.SOPClassUID = (
        DigitalXRayImageStorageForPresentation if digital else ComputedRadiographyImageStorage
    )
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = BIRTH_DATE
    dataset.PatientSex = "F"
    dataset.PatientAge = "064Y"
    dataset.StudyDate = STUDY_DATE
    dataset.StudyTime = "101112"
    dataset.StudyID = "1"
    dataset.AccessionNumber = ACCESSION
    dataset.ReferringPhysicianName = "Wintersmith^Ada"
    dataset.Modality = "DX" if digital else "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Manufacturer = "Tests"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in fields.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if syntax in (JPEGLSLossless, JPEG2000Lossless, RLELossless):
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def encode(dataset: Dataset) -> bytes:
    """The PS3.10 file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
