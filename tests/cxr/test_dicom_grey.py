"""The grey-scale pipeline of DICOM, against the formulas of the standard."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from cxr import decode
from tests.dicom_files import public_file, stretched
from tests.phantoms import chest_phantom, dicom_dataset, encode_dicom, write_dicom

# pydicom warns of the odd files that these tests write and read on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

FULL = chest_phantom(128)[:, :96].astype(np.uint16) * 257
# A window over the whole of 16 bits, so that the result is the stored value itself.
WHOLE_RANGE = {"WindowCenter": 32768, "WindowWidth": 65536}


def shown(pixels: NDArray[Any], photometric: str = "MONOCHROME2", **fields: Any) -> Any:
    """The decoded pixels from 0 to 1."""
    return decode(encode_dicom(pixels, photometric=photometric, fields=fields)).pixels / 65535


RAMP = np.arange(65536, dtype=np.uint16).reshape(256, 256)


def linear(x: NDArray[np.float64], c: float, w: float) -> NDArray[np.float64]:
    """PS3.3 §C.11.2.1.2.1, with the output from 0 to 1."""
    inside = (x - (c - 0.5)) / (w - 1) + 0.5
    low, high = x <= c - 0.5 - (w - 1) / 2, x > c - 0.5 + (w - 1) / 2
    return np.where(low, 0.0, np.where(high, 1.0, inside))


def linear_exact(x: NDArray[np.float64], c: float, w: float) -> NDArray[np.float64]:
    """PS3.3 §C.11.2.1.3.2."""
    return np.where(x <= c - w / 2, 0.0, np.where(x > c + w / 2, 1.0, (x - c) / w + 0.5))


def sigmoid(x: NDArray[np.float64], c: float, w: float) -> NDArray[np.float64]:
    """PS3.3 §C.11.2.1.3.1."""
    return np.asarray(1 / (1 + np.exp(-4 * (x - c) / w)))


@pytest.mark.parametrize(
    ("name", "formula"),
    [(None, linear), ("LINEAR", linear), ("LINEAR_EXACT", linear_exact), ("SIGMOID", sigmoid)],
)
@pytest.mark.parametrize(("center", "width"), [(30000, 20000), (32768, 65536), (500, 7000)])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -1000), (-1, 65535)])
def test_windows_follow_the_standard(
    name: str | None,
    formula: Callable[[NDArray[np.float64], float, float], NDArray[np.float64]],
    center: float,
    width: float,
    slope: float,
    intercept: float,
) -> None:
    fields: dict[str, Any] = {"WindowCenter": center, "WindowWidth": width}
    fields |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    if name:
        fields["VOILUTFunction"] = name
    expected = formula(RAMP.astype(np.float64) * slope + intercept, center, width)
    np.testing.assert_allclose(shown(RAMP, **fields), expected, atol=1 / 65535)


def test_the_narrowest_window_is_a_threshold() -> None:
    found = shown(RAMP, WindowCenter=1000, WindowWidth=1)
    np.testing.assert_array_equal(found, (RAMP > 999.5).astype(float))


@pytest.mark.parametrize(
    ("centers", "widths"),
    [([30000, 10], [20000, 20]), ([10, 30000, 10], [0, 20000, 20]), ([10, 30000], [-1, 20000])],
)
def test_the_first_usable_one_of_several_windows_counts(
    centers: list[int], widths: list[int]
) -> None:
    several = shown(RAMP, WindowCenter=centers, WindowWidth=widths)
    np.testing.assert_array_equal(several, shown(RAMP, WindowCenter=30000, WindowWidth=20000))


@pytest.mark.parametrize(
    "fields",
    [{}, {"WindowCenter": 100, "WindowWidth": 0}, {"WindowCenter": 100, "WindowWidth": None},
     {"WindowCenter": 50, "WindowWidth": -5}, {"WindowCenter": ""}],
)  # fmt: skip
def test_without_a_usable_window_the_values_that_occur_are_spread(fields: dict[str, Any]) -> None:
    pixels = (RAMP // 20 + 500).astype(np.uint16)
    kept = {keyword: value for keyword, value in fields.items() if value is not None}
    np.testing.assert_allclose(shown(pixels, **kept), stretched(pixels), atol=1 / 65535)


def test_an_unknown_window_function_is_linear() -> None:
    window = {"WindowCenter": 30000, "WindowWidth": 20000}
    np.testing.assert_array_equal(
        shown(RAMP, VOILUTFunction="CURVY", **window), shown(RAMP, **window)
    )


def lut(first: int, entries: list[int], depth: int, *, words: bool = True) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries) % 65536, first, depth])
    data = np.asarray(entries, "<u2" if words else "u1").tobytes()
    item.add_new("LUTData", "OW", data + b"\0" * (len(data) % 2))
    return item


@pytest.mark.parametrize("words", [True, False], ids=["words", "bytes"])
def test_a_voi_lut_of_eight_bits_has_more_than_256_entries(words: bool) -> None:
    """pydicom keeps the index in the entries' type, which breaks this case."""
    pixels = (RAMP // 16).astype(np.uint16)
    entries = [255 - index // 16 for index in range(4096)]
    found = shown(pixels, VOILUTSequence=[lut(0, entries, 8, words=words)])
    np.testing.assert_allclose(found, np.asarray(entries)[pixels] / 255, atol=1 / 65535)


def test_values_beyond_a_voi_lut_take_its_ends() -> None:
    found = shown(RAMP, VOILUTSequence=[lut(1000, [10, 500, 1023], 10)])
    assert np.unique(found[RAMP <= 1000]) == pytest.approx([10 / 1023], abs=1e-4)
    assert found[RAMP == 1001] == pytest.approx([500 / 1023], abs=1e-4)
    assert (found[RAMP >= 1002] == 1).all()


def test_a_voi_lut_goes_before_a_window() -> None:
    sequence = [lut(0, [0, 65535], 16)]
    both = shown(RAMP, VOILUTSequence=sequence, WindowCenter=30000, WindowWidth=20000)
    np.testing.assert_array_equal(both, (RAMP > 0).astype(float))


def test_a_modality_lut_comes_before_the_window() -> None:
    pixels = (RAMP // 256).astype(np.uint16)
    entries = [index * index for index in range(256)]
    window = {"WindowCenter": 20000, "WindowWidth": 30000}
    found = shown(pixels, ModalityLUTSequence=[lut(0, entries, 16)], **window)
    expected = linear(pixels.astype(np.float64) ** 2, 20000, 30000)
    np.testing.assert_allclose(found, expected, atol=1 / 65535)


def test_a_modality_lut_may_start_below_zero() -> None:
    signed = (RAMP // 256).astype(np.int16) - 128
    found = shown(signed, ModalityLUTSequence=[lut(-100, list(range(0, 400, 2)), 16)])
    expected = np.clip(signed.astype(np.int32) + 100, 0, 199)
    np.testing.assert_allclose(found, stretched(expected), atol=1 / 65535)


def test_public_look_up_tables() -> None:
    for name, keyword in (
        ("mlut_18.dcm", "ModalityLUTSequence"),
        ("vlut_04.dcm", "VOILUTSequence"),
    ):
        data = public_file(name)
        dataset = dcmread(io.BytesIO(data))
        item = dataset[keyword].value[0]
        count, first, depth = item.LUTDescriptor
        raw = item.LUTData
        table = np.frombuffer(raw, "<u2") if isinstance(raw, bytes) else np.asarray(raw)
        indices = np.clip(dataset.pixel_array.astype(np.int64) - first, 0, count - 1)
        expected = table[indices] / (2**depth - 1)
        if keyword == "ModalityLUTSequence":
            expected = stretched(table[indices])
        np.testing.assert_allclose(decode(data).pixels / 65535, expected, atol=1 / 65535)


@pytest.mark.parametrize(
    "fields", [{}, WHOLE_RANGE, {**WHOLE_RANGE, "PresentationLUTShape": "INVERSE"}]
)
def test_monochrome1_shows_the_same_picture(fields: dict[str, Any]) -> None:
    """The file of ``shown`` stores the values turned over; the display turns them back, once."""
    straight = shown(FULL, **{key: value for key, value in fields.items() if "LUT" not in key})
    turned = shown(FULL, "MONOCHROME1", **fields)
    np.testing.assert_allclose(turned, straight, atol=2 / 65535)


def test_monochrome1_is_inverted_after_the_window() -> None:
    dataset = dicom_dataset(RAMP, fields={"WindowCenter": 10000, "WindowWidth": 5000})
    dataset.PhotometricInterpretation = "MONOCHROME1"
    found = decode(write_dicom(dataset)).pixels / 65535
    expected = 1 - linear(RAMP.astype(np.float64), 10000, 5000)
    np.testing.assert_allclose(found, expected, atol=1 / 65535)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("value", "limit"), [(0, None), (65535, None), (0, 99), (65535, 65000)])
def test_padding_is_black_and_does_not_stretch_the_rest(
    photometric: str, value: int, limit: int | None
) -> None:
    pixels = (RAMP // 8 + 2000).astype(np.uint16)
    pixels[:20] = value if limit is None else (value + limit) // 2
    dataset = dicom_dataset(pixels)
    dataset.PhotometricInterpretation = photometric
    dataset.add_new("PixelPaddingValue", "US", value)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", "US", limit)
    found = decode(write_dicom(dataset)).pixels / 65535
    assert found[:20].max() == 0
    rest = stretched(pixels[20:])
    expected = 1 - rest if photometric == "MONOCHROME1" else rest
    np.testing.assert_allclose(found[20:], expected, atol=1 / 65535)


def test_a_constant_picture_is_black() -> None:
    assert not shown(np.full((80, 80), 500, np.uint16)).any()
