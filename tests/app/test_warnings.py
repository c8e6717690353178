"""What a reading warns of: the film's size, contrast, colours, view and body part."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import ExifTags, Image
from pydicom.dataset import Dataset

from app.presentation import WARNING_TITLES
from cxr.decode import decode
from cxr.explain import overlay_png
from tests.app.asking import codes, dicom, post_file
from tests.app.conftest import CHILDREN
from tests.app.multipart import multipart
from tests.bad_inputs import saved
from tests.phantoms import chest_phantom, encode_jpeg, encode_png


@pytest.mark.parametrize(("side", "warned"), [(159, True), (160, False)])
def test_low_resolution_warns(client: FlaskClient, side: int, warned: bool) -> None:
    film = encode_png(cv2.resize(chest_phantom(400), (300, side)))
    reading = post_file(client, film).get_json()
    assert ("low_resolution" in codes(reading)) is warned


@pytest.mark.parametrize(("height", "warned"), [(800, False), (802, True)])
def test_twice_as_long_as_wide_is_the_most(client: FlaskClient, height: int, warned: bool) -> None:
    film = cv2.resize(chest_phantom(400), (400, height))
    for pixels in (film, film.T):
        reading = post_file(client, encode_png(np.ascontiguousarray(pixels))).get_json()
        assert ("heavily_cropped" in codes(reading)) is warned


@pytest.mark.parametrize(("levels", "warned"), [(15, True), (17, False)])
def test_hardly_any_contrast_warns(client: FlaskClient, levels: int, warned: bool) -> None:
    pixels = chest_phantom(400).astype(float)
    low, high = np.percentile(pixels, (0.5, 99.5))
    faint = np.clip((pixels - low) / (high - low), 0, 1) * levels + 100
    reading = post_file(client, encode_png(faint.round().astype(np.uint8))).get_json()
    assert ("low_contrast" in codes(reading)) is warned


def test_resolution_is_that_of_the_file_not_of_the_reduced_decode(client: FlaskClient) -> None:
    reading = post_file(client, encode_jpeg(chest_phantom(2048)), f"?model={CHILDREN}").get_json()
    assert codes(reading) == []
    assert reading["image"]["width"] == 2048


@pytest.mark.parametrize(
    ("data", "warned"),
    [
        (encode_png(np.clip(chest_phantom(400) * 2.5, 0, 255).astype(np.uint8)), True),
        (encode_png(np.pad(chest_phantom(400), 40, constant_values=255)), False),
        (dicom(WindowCenter=60 * 257, WindowWidth=80 * 257), True),
        (dicom(WindowCenter=128 * 257, WindowWidth=255 * 257), False),
    ],
    ids=["brightened", "in a white frame", "narrow window", "wide window"],
)
def test_a_burnt_out_film_warns(client: FlaskClient, data: bytes, warned: bool) -> None:
    reading = post_file(client, data, f"?model={CHILDREN}").get_json()
    assert codes(reading) == (["overexposed"] if warned else [])
    page = client.post(f"/?model={CHILDREN}", **multipart(data)).get_data(as_text=True)
    assert (WARNING_TITLES["overexposed"] in page) is warned


def test_a_photograph_of_a_film_warns(client: FlaskClient) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 1.8
    data = saved("JPEG", Image.fromarray(chest_phantom(400)), exif=exif)
    assert codes(post_file(client, data, f"?model={CHILDREN}").get_json()) == ["photograph"]
    page = client.post(f"/?model={CHILDREN}", **multipart(data)).get_data(as_text=True)
    assert WARNING_TITLES["photograph"] in page


def test_an_overlay_that_is_sent_back_for_a_film_warns(client: FlaskClient, jpeg: bytes) -> None:
    activation = np.zeros((4, 4), np.float32)
    activation[1, 1] = 1
    data = overlay_png(decode(jpeg), activation)
    assert codes(post_file(client, data, f"?model={CHILDREN}").get_json()) == ["coloured_picture"]
    page = client.post(f"/?model={CHILDREN}", **multipart(data)).get_data(as_text=True)
    assert WARNING_TITLES["coloured_picture"] in page


def coded(code: str, meaning: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", meaning
    return [item]


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        *(({"ViewPosition": view}, True) for view in (
            "LATERAL", "LL", "RL", "RLO", "LLO", "RAO", "LAO", "LPO", "OBLIQUE", "LEFT LATERAL",
            "LLAT", "L LAT", "LATERAL-L", "DECUB", "PA OBLIQUE", "AP LAT")),
        *(({"ViewPosition": view}, False) for view in (
            "PA", "ap ", "AP SUPINE", "AP_ERECT", "P-A", "FRONTAL", "POSTERO-ANTERIOR", "")),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399173006", "left lateral")}, True),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399182000", "oblique")}, True),
        ({"ViewPosition": "", "ViewCodeSequence": coded("272479007", "any")}, False),
        ({"ViewPosition": "", "PatientOrientation": ["P", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["A", "F"]}, True),
        ({"ViewPosition": "", "PatientOrientation": ["L", "F"]}, False),
        ({"ViewPosition": "", "PatientOrientation": ""}, False),
    ],
)  # fmt: skip
def test_every_view_but_a_frontal_one_warns(client: FlaskClient, fields: Any, warned: bool) -> None:
    reading = post_file(client, dicom(**fields)).get_json()
    assert codes(reading) == (["view_outside_population"] if warned else [])


@pytest.mark.parametrize(
    ("fields", "warned"),
    [
        *(({"BodyPartExamined": part}, True) for part in ("ABDOMEN", "C-SPINE", "Hand, left")),
        *(({"BodyPartExamined": part}, False) for part in (
            "CHEST", "Chest PA", "THORAX", "PECHO", "POITRINE", "CXR", "")),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": coded("72696002", "Knee")}, True),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": coded("51185008", "any")}, False),
        ({"BodyPartExamined": "", "AnatomicRegionSequence": coded("1", "Thorax")}, False),
    ],
)  # fmt: skip
def test_another_body_part_is_warned_about(client: FlaskClient, fields: Any, warned: bool) -> None:
    reading = post_file(client, dicom(**fields)).get_json()
    assert codes(reading) == (["body_part_outside_population"] if warned else [])
