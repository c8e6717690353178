"""DICOM: every transfer syntax, and what is accepted and kept of a header."""

from __future__ import annotations

import io
import logging
import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from cxr import Radiograph, decode
from cxr.dicom import age_in_years
from cxr.errors import UnreadableImageError, UnsuitableImageError
from tests.dicom_files import public_file, stretched
from tests.lossless_jpeg import encode_lossless_jpeg
from tests.phantoms import (
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    chest_phantom,
    dicom_dataset,
    encode_dicom,
    encode_jpeg,
    write_dicom,
)
from tests.real_data import data_path

# pydicom warns of the odd files that these tests write and read on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

GREY = chest_phantom(128)[:, :96].copy()
TWELVE = GREY.astype(np.uint16) * 16 + 7
FULL = GREY.astype(np.uint16) * 257


def as_radiograph(name: str) -> bytes:
    """A public file of another modality, renamed to a radiograph for its encoding's sake."""
    dataset = dcmread(io.BytesIO(public_file(name)))
    dataset.Modality = "DX"
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


# --- Transfer syntaxes ---------------------------------------------------------------------

LOSSLESS = {
    "implicit little endian": ImplicitVRLittleEndian,
    "explicit little endian": ExplicitVRLittleEndian,
    "explicit big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_transfer_syntaxes(name: str, signed: bool, bits: int) -> None:
    levels = {8: GREY, 12: TWELVE, 16: FULL}[bits].astype(np.int64)
    kind = ("i" if signed else "u") + ("1" if bits == 8 else "2")
    pixels = (levels - (1 << (bits - 1)) * signed).astype(kind)
    file = encode_dicom(pixels, bits_stored=bits, transfer_syntax=LOSSLESS[name])
    radiograph = decode(file)
    assert radiograph.pixels.dtype == np.uint16
    assert (radiograph.width, radiograph.height, radiograph.format) == (96, 128, "DICOM")
    expected = np.rint(stretched(levels) * 65535)
    np.testing.assert_array_equal(radiograph.pixels, expected)


def encapsulated(syntax: str, frame: bytes, pixels: NDArray[Any], bits: int) -> bytes:
    dataset = dicom_dataset(pixels, bits_stored=bits)
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_baseline_and_eight_bit_extended(progressive: bool) -> None:
    frame = encode_jpeg(GREY, progressive=progressive)
    syntax = JPEGExtended12Bit if progressive else JPEGBaseline8Bit
    radiograph = decode(encapsulated(syntax, frame, GREY, 8))
    assert np.abs(radiograph.pixels / 65535 - stretched(GREY)).mean() < 0.01


def test_jpeg_extended_of_twelve_bits() -> None:
    radiograph = decode(as_radiograph("JPGExtended.dcm"))
    assert radiograph.pixels.shape == (1024, 256)
    # A bone scan: mostly empty, with hot spots; the reference is its JPEG 2000 twin.
    twin = decode(as_radiograph("JPEG2000.dcm"))
    agreement = np.corrcoef(radiograph.pixels.ravel(), twin.pixels.ravel())[0, 1]
    assert agreement > 0.95


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_lossless(syntax: str, bits: int) -> None:
    pixels = {8: GREY, 12: TWELVE, 16: FULL}[bits]
    file = encapsulated(syntax, encode_lossless_jpeg(pixels, bits), pixels, bits)
    expected = np.rint(stretched(pixels) * 65535)
    np.testing.assert_array_equal(decode(file).pixels, expected)


def test_jpeg_lossless_of_another_encoder() -> None:
    radiograph = decode(as_radiograph("JPEG-LL.dcm"))
    twin = decode(as_radiograph("JPGExtended.dcm"))
    assert np.corrcoef(radiograph.pixels.ravel(), twin.pixels.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("syntax", [JPEGLossless, JPEGLosslessSV1])
def test_a_lossless_picture_without_its_end_is_refused(syntax: str) -> None:
    # Its decoder would fill the rest without a word.
    frame = encode_lossless_jpeg(TWELVE, 12)
    for share in (0.5, 0.9):
        with pytest.raises(UnreadableImageError):
            decode(encapsulated(syntax, frame[: int(len(frame) * share)], TWELVE, 12))


@pytest.mark.parametrize(
    ("syntax", "options"),
    [(JPEGLSNearLossless, {"jls_error": 3}), (JPEG2000, {"j2k_psnr": [60]})],
)
def test_lossy_jpeg_ls_and_jpeg_2000(syntax: str, options: dict[str, Any]) -> None:
    dataset = dicom_dataset(TWELVE, bits_stored=12)
    dataset.compress(syntax, generate_instance_uid=False, **options)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    pixels = decode(buffer.getvalue()).pixels
    assert np.abs(pixels / 65535 - stretched(TWELVE)).mean() < 0.01


def test_public_chest_radiograph_is_the_same_in_all_its_encodings() -> None:
    plain = decode(public_file("RG1_UNCR.dcm"))
    packed = decode(public_file("RG1_J2KR.dcm"))
    assert (plain.width, plain.height) == (1841, 1955)
    np.testing.assert_array_equal(plain.pixels, packed.pixels)
    lossy = decode(public_file("RG1_J2KI.dcm"))
    assert np.abs(plain.pixels / 65535 - lossy.pixels / 65535).mean() < 0.01
    assert plain.dicom is not None
    assert plain.dicom.photometric_interpretation == "MONOCHROME1"
    # MONOCHROME1, so its spine must come out brighter than its lungs.
    level = cv2.resize(plain.pixels, (160, 160), interpolation=cv2.INTER_AREA) / 65535
    assert level[70:100, 74:86].mean() > level[60:90, 40:55].mean()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_pixels_as_they_are_stored_are_read_without_a_copy(syntax: str) -> None:
    pixels = np.arange(3000 * 2400, dtype=np.uint32).astype(np.uint16).reshape(3000, 2400)
    file = write_dicom(dicom_dataset(pixels), syntax)
    tracemalloc.start()
    try:
        got = decode(file).pixels
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1.5 * got.nbytes
    assert np.array_equal(got, np.rint(stretched(pixels) * 65535))
    for missing in (1, 1000, 2_000_000):
        with pytest.raises(UnreadableImageError):
            decode(file[:-missing])


# --- Bits ----------------------------------------------------------------------------------


def test_bits_above_those_stored_are_dropped() -> None:
    dataset = dicom_dataset(TWELVE, bits_stored=12)
    overlay = np.where(np.eye(128, 96) > 0, 0xF000, 0).astype(np.uint16)
    dataset.PixelData = (TWELVE | overlay).tobytes()
    np.testing.assert_array_equal(
        decode(write_dicom(dataset)).pixels, decode(encode_dicom(TWELVE, bits_stored=12)).pixels
    )


def test_signed_values_without_sign_extension() -> None:
    signed = (TWELVE.astype(np.int32) - 2048).astype(np.int16)
    dataset = dicom_dataset(signed, bits_stored=12)
    dataset.PixelData = (signed.view(np.uint16) & 0x0FFF).tobytes()
    np.testing.assert_array_equal(
        decode(write_dicom(dataset)).pixels, np.rint(stretched(TWELVE) * 65535)
    )


def test_a_high_bit_above_the_lowest_ones() -> None:
    dataset = dicom_dataset(TWELVE, bits_stored=12, fields={"HighBit": 15})
    dataset.PixelData = (TWELVE << 4).tobytes()
    np.testing.assert_array_equal(
        decode(write_dicom(dataset)).pixels, np.rint(stretched(TWELVE) * 65535)
    )


def test_more_compressed_bits_than_announced_are_refused() -> None:
    dataset = dcmread(io.BytesIO(encode_dicom(FULL, transfer_syntax=JPEGLSLossless)))
    dataset.BitsStored, dataset.HighBit = 12, 11
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    with pytest.raises(UnreadableImageError):
        decode(buffer.getvalue())


# --- What is accepted, and what is kept ----------------------------------------------------


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "DR", "OT", None])
def test_projection_modalities_are_accepted(modality: str | None) -> None:
    fields = decode(encode_dicom(FULL, modality=modality)).dicom
    assert fields is not None
    assert fields.modality == modality


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small.dcm", "693_UNCR.dcm", "US1_UNCR.dcm", "SC_rgb.dcm", "rtdose.dcm",
     "eCT_Supplemental.dcm", "liver_1frame.dcm", "OT-PAL-8-face.dcm", "test-SR.dcm",
     "examples_ybr_color.dcm", "color3d_jpeg_baseline.dcm", "rtplan.dcm", "waveform_ecg.dcm"],
)  # fmt: skip
def test_public_files_of_other_examinations_are_refused(name: str) -> None:
    with pytest.raises(UnsuitableImageError):
        decode(public_file(name))


def without_meta(syntax: str) -> bytes:
    """The bare data set, as old writers left it: no preamble, no file meta information."""
    whole = encode_dicom(FULL, transfer_syntax=syntax)
    return whole[144 + int.from_bytes(whole[140:144], "little") :]


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_files_without_preamble_are_read(syntax: str) -> None:
    np.testing.assert_array_equal(
        decode(without_meta(syntax)).pixels, decode(encode_dicom(FULL)).pixels
    )


def test_a_file_without_preamble_but_with_meta_information_is_read() -> None:
    whole = encode_dicom(FULL, transfer_syntax=RLELossless)
    np.testing.assert_array_equal(decode(whole[132:]).pixels, decode(whole).pixels)


@pytest.mark.parametrize(
    ("age", "years"),
    [("012Y", 12.0), ("018M", 1.5), ("003W", 21 / 365.25), ("005D", 5 / 365.25), ("62", 62.0),
     (" 7y", 7.0), ("000Y", 0.0), ("148Y", None), ("", None), ("Y", None), ("abc", None)],
)  # fmt: skip
def test_ages(age: str, years: float | None) -> None:
    assert age_in_years(age) == (None if years is None else pytest.approx(years))


def test_the_fields_that_matter_are_kept() -> None:
    fields = {"PatientAge": "030M", "ViewPosition": "ap ", "BodyPartExamined": "Chest"}
    kept = decode(encode_dicom(FULL, photometric="MONOCHROME1", modality="CR", fields=fields)).dicom
    assert kept is not None
    assert kept.modality == "CR"
    assert kept.body_part_examined == "CHEST"
    assert kept.view_position == "AP"
    assert kept.patient_age_years == 2.5
    assert kept.photometric_interpretation == "MONOCHROME1"


def test_free_text_in_a_code_is_not_kept() -> None:
    text = "Chest of Mrs. Miller, 3.4.1950"
    kept = decode(encode_dicom(FULL, fields={"BodyPartExamined": text})).dicom
    assert kept is not None
    assert kept.body_part_examined is None


def test_no_name_id_or_date_is_carried_on(caplog: pytest.LogCaptureFixture) -> None:
    def everything(radiograph: Radiograph) -> str:
        return repr(radiograph.dicom) + repr(radiograph)

    odd = {"StudyTime": "not a time", "PatientBirthDate": "yesterday"}
    with caplog.at_level(logging.DEBUG):
        found = everything(decode(encode_dicom(FULL, fields=odd)))
    for secret in (PATIENT_NAME, PATIENT_ID, STUDY_DATE, "Phantom", "yesterday"):
        assert secret not in found
        assert secret not in caplog.text


@pytest.mark.real_data
def test_the_real_film_and_its_inverted_twin() -> None:
    straight = decode(data_path("dicom/chest_pa_monochrome2_jpeg.dcm").read_bytes())
    turned = decode(data_path("dicom/chest_pa_tagged_monochrome1.dcm").read_bytes())
    assert (straight.width, straight.height) == (1024, 1024)
    np.testing.assert_allclose(
        turned.pixels.astype(np.int32), 65535 - straight.pixels.astype(np.int32), atol=1
    )
    assert straight.dicom is not None
    assert straight.dicom.view_position == "PA"
    assert straight.dicom.body_part_examined == "CHEST"
