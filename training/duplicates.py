"""Near-duplicate radiographs, by perceptual hash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.hierarchy import DisjointSet

from cxr.radiograph import to_eight_bits

#: Side of the hash: 16 × 16 low frequencies, 256 bits. The usual 8 × 8 cannot tell chest
#: radiographs apart, which all share the same large shapes.
HASH_SIDE = 16
HASH_WORDS = HASH_SIDE**2 // 64
#: Largest distance, of 256, that still counts as the same picture. Looked at on the real
#: sets: up to 34 every pair is one film (re-cropped, re-windowed or annotated), at 36 the
#: first lookalikes come, from 44 on nearly all are different people; random pairs are
#: about 120 apart.
THRESHOLD = 36
_HASHED_SIDE = 128
_BLOCK = 512


def perceptual_hash(pixels: NDArray[Any]) -> NDArray[np.uint64]:
    """256-bit pHash, packed; of the radiograph, not of the model input.

    A hash that depended on the input size would shift groups, and with them the split,
    between models that are to be compared on the same split.

    Args:
        pixels: uint8 or uint16 of full scale, shape (height, width).

    Returns:
        uint64, shape (4,).
    """
    method = cv2.INTER_AREA if min(pixels.shape) > _HASHED_SIDE else cv2.INTER_LINEAR
    small: Any = cv2.resize(pixels, (_HASHED_SIDE, _HASHED_SIDE), interpolation=method)
    grey = Image.fromarray(to_eight_bits(small))
    bits = imagehash.phash(grey, hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).view(np.uint64)


def near_pairs(hashes: NDArray[np.uint64], threshold: int = THRESHOLD) -> NDArray[np.int64]:
    """All pairs of hashes within ``threshold`` bits of each other.

    Args:
        hashes: uint64, shape (n, words).

    Returns:
        int64, shape (m, 3): first row, second row (first < second), Hamming distance.
    """
    found = [np.zeros((0, 3), np.int64)]
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        others = hashes[start:]
        distance = np.zeros((len(block), len(others)), np.uint16)
        for word in range(hashes.shape[1]):
            distance += np.bitwise_count(block[:, word, np.newaxis] ^ others[:, word])
        first, second = np.nonzero(distance <= threshold)
        later = second > first
        first, second = first[later], second[later]
        near = distance[first, second]
        found.append(np.stack([first + start, second + start, near], axis=1).astype(np.int64))
    return np.concatenate(found)


def linked_groups(names: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Merge groups that a pair links, directly or through others.

    Args:
        names: the group of each row.
        pairs: rows that belong together.

    Returns:
        The name of the merged group of each row: the first of its names in sorted order.
    """
    groups = DisjointSet(names)
    for first, second in pairs:
        groups.merge(names[first], names[second])
    merged = {name: min(group) for group in groups.subsets() for name in group}
    return [merged[name] for name in names]
