"""No file within the limits costs more than a moment, whatever it is made of."""

from __future__ import annotations

import io
import threading
import time

import pytest
from PIL import Image

from cxr.decode import decode
from cxr.errors import RadiographError, UnsuitableImageError
from cxr.radiograph import room_for
from cxr.structure import MAX_JPEG_SCANNED_PIXELS, check_scans
from tests.hostile_inputs import HOSTILE_INPUTS
from tests.phantoms import chest_phantom


@pytest.mark.parametrize("name", HOSTILE_INPUTS)
def test_is_refused_at_once(name: str) -> None:
    make, code = HOSTILE_INPUTS[name]
    data = make()
    began = time.thread_time()
    with pytest.raises(RadiographError) as refusal:
        decode(data)
    assert time.thread_time() - began < 2.0  # half of it where nothing shares the core
    assert refusal.value.code == code, refusal.value.detail


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {"progressive": True, "icc_profile": bytes(600_000), "comment": b"chest"}),
        ("PNG", {"compress_level": 0}),
        ("TIFF", {"tiffinfo": {278: 1}}),  # one row a strip
        ("BMP", {}),
    ],
)
def test_what_ordinary_writers_do_is_within_the_limits(format: str, options: dict) -> None:
    buffer = io.BytesIO()
    film = Image.fromarray(chest_phantom(512)).resize((3000, 3600))
    film.save(buffer, format, **options)
    assert decode(buffer.getvalue()).height == 3600


def test_two_scans_of_a_picture_of_any_size_are_not_too_many() -> None:
    # Where somebody raised the limit on pixels, one scan may already be over that on scanned ones.
    check_scans(b"\xff\xda" * 2, MAX_JPEG_SCANNED_PIXELS)
    with pytest.raises(UnsuitableImageError):
        check_scans(b"\xff\xda" * 3, MAX_JPEG_SCANNED_PIXELS)


def test_only_one_very_large_picture_is_decoded_at_a_time() -> None:
    entered = threading.Event()

    def second() -> None:
        with room_for(6000, 6000):
            entered.set()

    with room_for(6000, 6000):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.1)
        with room_for(2000, 2000):  # ordinary ones pass
            pass
    assert entered.wait(5)
    thread.join()
