"""The same film gives the same model input, however it was encoded."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from cxr import PreprocessSpec, Radiograph, decode, to_model_input
from cxr.preprocess import reduced
from tests.phantoms import chest_phantom, encode_dicom, encode_jpeg, encode_png
from tests.real_data import data_path

SPEC = PreprocessSpec(size=160)
GREY = chest_phantom(512)
DEEP = GREY.astype(np.uint16) * 257
TWELVE = GREY.astype(np.uint16) * 16

ENCODINGS: dict[str, Callable[[], bytes]] = {
    "PNG-16": lambda: encode_png(DEEP),
    "JPEG q95": lambda: encode_jpeg(GREY, 95),
    "DICOM MONOCHROME2": lambda: encode_dicom(DEEP),
    "DICOM MONOCHROME1": lambda: encode_dicom(DEEP, photometric="MONOCHROME1"),
    "DICOM MONOCHROME1, 12 bit": lambda: encode_dicom(
        TWELVE, photometric="MONOCHROME1", bits_stored=12
    ),
    "DICOM MONOCHROME2, windowed": lambda: encode_dicom(
        TWELVE, bits_stored=12, fields={"WindowCenter": 2048, "WindowWidth": 4096}
    ),
}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("reduce_to", [None, 160])
def test_encodings_agree_with_the_eight_bit_png(name: str, reduce_to: int | None) -> None:
    golden = to_model_input(decode(encode_png(GREY)), SPEC)
    found = to_model_input(decode(ENCODINGS[name](), reduce_to=reduce_to), SPEC)
    distance = np.abs(found - golden)
    # A few of 255 grey levels: an 8-bit picture is rounded before it is resized.
    assert distance.mean() < 0.01
    assert distance.max() < 0.06
    # The same test must notice an inverted picture.
    assert np.abs((1 - found) - golden).mean() > 0.1


def test_the_input_has_the_promised_shape_type_and_range() -> None:
    levels = to_model_input(decode(encode_png(GREY)), SPEC)
    assert levels.shape == (160, 160, 1)
    assert levels.dtype == np.float32
    assert 0.0 <= levels.min() < 0.05
    assert 0.95 < levels.max() <= 1.0


def test_bright_stays_bright() -> None:
    levels = to_model_input(decode(encode_png(GREY)), SPEC)[:, :, 0]
    spine, lung = levels[60:100, 76:84].mean(), levels[60:100, 36:52].mean()
    assert spine > lung + 0.3


def test_a_small_picture_is_enlarged_smoothly() -> None:
    small = chest_phantom(512)[::4, ::4].copy()
    levels = to_model_input(decode(encode_png(small)), PreprocessSpec(size=512))
    steps = np.abs(np.diff(levels[:, :, 0], axis=1))
    assert (steps > 0).mean() > 0.4  # blocks of four would leave three of four steps at zero


def test_a_constant_picture_gives_zeros() -> None:
    flat = Radiograph(np.full((80, 80), 77, np.uint8), "PNG", 80, 80)
    assert not to_model_input(flat, SPEC).any()


@pytest.mark.parametrize(
    "arguments",
    [{"size": 31}, {"size": 1025}, {"low_percentile": -1}, {"low_percentile": 99.6},
     {"high_percentile": 101}],
)  # fmt: skip
def test_nonsense_is_no_spec(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must"):
        PreprocessSpec(**arguments)  # type: ignore[arg-type]


def test_a_spec_survives_json() -> None:
    spec = PreprocessSpec(size=224, low_percentile=1.0)
    assert PreprocessSpec.from_json(spec.to_json()) == spec


@pytest.mark.real_data
def test_a_reduced_real_film_gives_the_same_input() -> None:
    """A real film at the size of a hospital's JPEG, through both scales of the decoder."""
    film = decode(data_path("dicom/chest_pa_monochrome2_jpeg.dcm").read_bytes()).pixels
    large = cv2.resize(film, (2048, 2048), interpolation=cv2.INTER_CUBIC)
    encoded = encode_jpeg((large >> 8).astype(np.uint8), 92)
    full, reduced = decode(encoded), decode(encoded, reduce_to=SPEC.size)
    assert reduced.pixels.shape == (256, 256)
    distance = np.abs(to_model_input(full, SPEC) - to_model_input(reduced, SPEC))
    assert distance.mean() < 0.01
    assert distance.max() < 0.1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_halving_once_for_several_networks_changes_no_input(dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (1033, 941)).astype(dtype)
    film = Radiograph(pixels, "PNG", 941, 1033)
    once = reduced(film, 320)
    assert min(once.pixels.shape) == (470 if dtype is np.uint16 else 941)
    assert (once.width, once.height) == (941, 1033)
    for size in (48, 80):
        spec = PreprocessSpec(size=size)
        np.testing.assert_array_equal(to_model_input(once, spec), to_model_input(film, spec))
