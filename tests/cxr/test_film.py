"""A film for the viewer: nothing cut off, and its first window shows what the model reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from cxr import decode
from cxr.errors import RadiographError, UnsuitableImageError
from cxr.film import Film, Spacing, film
from cxr.radiograph import Limits
from tests.dicom_files import public_file
from tests.phantoms import (
    chest_phantom,
    dicom_dataset,
    encode_dicom,
    encode_jpeg,
    encode_png,
    write_dicom,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

DEEP = chest_phantom(128)[:, :96].astype(np.uint16) * 16


def shown(found: Film, number: int = 0) -> NDArray[np.float64]:
    """What a viewer shows through one of the windows, from 0 (black) to 1 (white)."""
    window = found.windows[number]
    values = found.pixels.astype(np.float64)
    if window.black == window.white:
        grey = (values > window.black).astype(np.float64)
    else:
        grey = np.clip((values - window.black) / (window.white - window.black), 0, 1)
    return 1 - grey if found.inverted else grey


def assert_agrees_with_decode(data: bytes) -> None:
    expected = decode(data).pixels
    difference = np.abs(shown(film(data)) - expected / np.iinfo(expected.dtype).max)
    assert difference.max() <= 1.5 / np.iinfo(expected.dtype).max


WINDOW = {"WindowCenter": 1500, "WindowWidth": 900}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        WINDOW,
        {**WINDOW, "VOILUTFunction": "LINEAR_EXACT"},
        {**WINDOW, "VOILUTFunction": "SIGMOID"},
        {**WINDOW, "WindowCenter": -200, "RescaleSlope": 0.5, "RescaleIntercept": -1000},
        {**WINDOW, "WindowCenter": 500, "RescaleSlope": -1, "RescaleIntercept": 2000},
        {"RescaleSlope": -2, "RescaleIntercept": 10},
        {"WindowCenter": 700, "WindowWidth": 1},
        {"WindowCenter": 700, "WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 700, "WindowWidth": 1, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": [100, 1500], "WindowWidth": [0, 900]},
        {"WindowCenter": [100, 1500], "WindowWidth": [-5, 900], "VOILUTFunction": "SIGMOID"},
        {"PixelPaddingValue": 64, **WINDOW},
        {"PixelPaddingValue": 4095 - 64, **WINDOW},  # the same in MONOCHROME1
        {"PixelPaddingValue": 64, "PixelPaddingRangeLimit": 800},
        {"PixelPaddingValue": 4095 - 64, "PixelPaddingRangeLimit": 4095 - 800},
    ],
)
def test_the_first_window_shows_what_decode_gives(photometric: str, fields: dict[str, Any]) -> None:
    assert_agrees_with_decode(
        encode_dicom(DEEP, photometric=photometric, bits_stored=12, fields=fields)
    )


def test_signed_pixels_and_tables_agree_with_decode() -> None:
    signed = DEEP.astype(np.int16) - 2000
    assert_agrees_with_decode(encode_dicom(signed, bits_stored=13))
    dataset = dicom_dataset(DEEP, bits_stored=12)
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4096, 0, 16], list(range(0, 65536, 16))
    dataset.VOILUTSequence = [table]
    dataset["VOILUTSequence"][0]["LUTDescriptor"].VR = "US"
    dataset["VOILUTSequence"][0]["LUTData"].VR = "US"
    assert_agrees_with_decode(write_dicom(dataset))


def test_a_real_film_agrees_with_decode() -> None:
    assert_agrees_with_decode(public_file("RG1_J2KI.dcm"))


def test_nothing_beyond_the_window_is_cut_off() -> None:
    data = encode_dicom(DEEP, bits_stored=12, fields={"WindowCenter": 300, "WindowWidth": 20})
    assert len(np.unique(decode(data).pixels)) < len(np.unique(DEEP))
    assert np.array_equal(film(data).pixels, DEEP)


def test_every_window_of_the_file_is_offered() -> None:
    fields = {"WindowCenter": [1500, 900], "WindowWidth": [1001, 201]}
    found = film(encode_dicom(DEEP, bits_stored=12, fields=fields))
    assert [(w.black, w.white) for w in found.windows] == [(999.5, 1999.5), (799.5, 999.5)]


def test_values_come_back_in_the_unit_of_the_file() -> None:
    fields = {"RescaleSlope": 0.5, "RescaleIntercept": -1000}
    found = film(encode_dicom(DEEP, bits_stored=12, fields=fields))
    assert (found.slope, found.intercept) == (0.5, -1000)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, Spacing(0.2, 0.1, "detector")),
        (
            {"PixelSpacing": [0.14, 0.15], "ImagerPixelSpacing": [0.2, 0.2]},
            Spacing(0.14, 0.15, "patient"),
        ),
        (
            {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]},
            Spacing(0.2, 0.2, "detector"),
        ),
        ({"PixelSpacing": [0, 0]}, None),
    ],
)
def test_spacing_says_in_which_plane(fields: dict[str, Any], expected: Spacing | None) -> None:
    assert film(encode_dicom(DEEP, fields=fields)).spacing == expected


def test_other_formats_keep_their_depth() -> None:
    assert film(encode_png(DEEP)).pixels.dtype == np.uint16
    eight = film(encode_jpeg(chest_phantom(300)))
    assert (eight.pixels.dtype, eight.pixels.shape) == (np.uint8, (300, 300))
    assert (eight.windows[0].black, eight.windows[0].white) == (0, 255)


def test_what_decode_refuses_is_no_film_either() -> None:
    with pytest.raises(UnsuitableImageError):
        film(encode_dicom(DEEP, modality="CT"))
    for data in (b"", b"%PDF-1.7\n", encode_dicom(DEEP)[:2000]):
        with pytest.raises(RadiographError):
            film(data)
    with pytest.raises(RadiographError):
        film(encode_dicom(DEEP), Limits(max_pixels=100))
