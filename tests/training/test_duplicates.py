"""Near-duplicates: found whatever the brightness, size or compression; others left alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.phantoms import chest_phantom, encode_jpeg
from training.duplicates import THRESHOLD, linked_groups, near_pairs, perceptual_hash


def _distance(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    return int(np.bitwise_count(perceptual_hash(first) ^ perceptual_hash(second)).sum())


def _compressed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    encoded = np.frombuffer(encode_jpeg(pixels, quality=40), np.uint8)
    return cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE)


def _darker(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (pixels * 0.7).astype(np.uint8)


def _smaller(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA)


def _cropped(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[1:-1, 1:-1])


@pytest.mark.parametrize("change", [_compressed, _darker, _smaller, _cropped])
def test_the_same_film_is_near(change) -> None:
    film = chest_phantom(160, seed=3)
    assert _distance(film, change(film)) <= THRESHOLD


def test_different_pictures_are_far() -> None:
    random = np.random.default_rng(0)
    first, second = (
        cv2.resize(random.integers(0, 256, (12, 12), np.uint8), (160, 160)) for _ in range(2)
    )
    assert _distance(first, second) > 2 * THRESHOLD


def test_pairs_equal_those_counted_one_by_one() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, (1100, 4)).astype(np.uint64)  # more than two blocks
    hashes[1050] = hashes[3]
    hashes[1050, 0] ^= np.uint64(0b111)
    hashes[700] = hashes[600]
    expected = []
    for row in range(len(hashes)):
        distance = np.bitwise_count(hashes[row] ^ hashes[row + 1 :]).sum(axis=1)
        near = np.flatnonzero(distance <= 95)
        expected += [(row, row + 1 + other, int(distance[other])) for other in near]
    assert sorted(map(tuple, near_pairs(hashes, 95).tolist())) == expected
    assert near_pairs(hashes).tolist() == [[3, 1050, 3], [600, 700, 0]]


def test_no_images_no_pairs() -> None:
    assert near_pairs(np.zeros((0, 4), np.uint64)).shape == (0, 3)


def test_links_join_whole_groups() -> None:
    names = ["a", "a", "b", "c", "d"]
    assert linked_groups(names, [(1, 2), (3, 2)]) == ["a", "a", "a", "a", "d"]
    assert linked_groups(names, []) == names
