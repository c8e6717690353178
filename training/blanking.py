"""Films without lungs and lungs without film: what may not decide, and what must.

Where each class comes from other hospitals, a network that learns from whole films learns the
hospitals: frame, shoulders, markers. So some films are shown with the lungs blanked, and the
answer asked for is that nothing can be told; some with everything blanked but the lungs, and
the answer asked for is the film's own (counterfactual and invariant examples; Chang 2021, arXiv
2106.01127). Only training films are changed, nothing when serving.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from training.augment import Augmentation
from training.data import Prepared
from training.device import in_float32
from training.files import read_arrays, write_arrays
from training.layout import MASKS_ZIP
from training.lungs import hulls, segmenter, widened
from training.source import Source

#: Side of the kept outlines, in pixels: they are widened by a random margin anyway.
SIDE = 64
_BLOCK = 512
_MARGIN = (0.01, 0.06)


def find_lungs(prepared: Prepared, data: Path, cache: Path) -> NDArray[np.uint8] | None:
    """The convex hulls of the lungs of every film, by a segmenter that is trained first.

    Both are kept in the cache.

    Returns:
        uint8, shape (n, 64, 64), 1 = inside a lung. None where there are no lung masks to learn
        from, in ``data`` or beside it, which is said.
    """
    given = masks_for(data)
    if given is None:
        print(
            f"There are no lung masks, neither in {data} (a folder 'masks' beside 'images', as "
            f"the whole COVID-19 Radiography Database has) nor in a {MASKS_ZIP} beside it: no "
            "lungs are looked for or blanked, and the network may learn more of what surrounds "
            "them.",
            flush=True,
        )
        return None
    with in_float32():
        finder = segmenter(given, cache)
    made = f"{SIDE} {finder.key} {prepared.images.shape} {prepared.dataset.sha256}"
    kept = cache / f"outlines-{hashlib.sha256(made.encode()).hexdigest()[:16]}.npz"
    if kept.exists():
        return np.asarray(read_arrays(kept)["outlines"], np.uint8)
    outlines = np.zeros((len(prepared.images), SIDE, SIDE), np.uint8)
    starts = range(0, len(outlines), _BLOCK)
    for start in tqdm(starts, "Finding lungs", delay=2.0, leave=False, disable=None):
        part = slice(start, start + _BLOCK)
        masks, _ = finder.masks(np.asarray(prepared.images[part]))
        for place, mask in zip(outlines[part], masks, strict=True):
            place[:] = cv2.resize(hulls(mask), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    write_arrays(kept, outlines=outlines)
    return outlines


def blank(
    images: NDArray[np.float32],
    targets: NDArray[np.float32],
    outlines: NDArray[np.uint8],
    settings: Augmentation,
    random: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Some films without lungs, whose targets then favour no class, some with nothing else.

    Args:
        images: float32, shape (n, size, size, 1), range [0, 1].
        targets: float32, shape (n, classes + 1), as ``training.loop.Batches`` makes them.
        outlines: uint8, shape (n, 64, 64), of these films.
    """
    images, targets = images.copy(), targets.copy()
    size = images.shape[1:3]
    for image, target, outline in zip(images, targets, outlines, strict=True):
        drawn, margin = random.random(), random.uniform(*_MARGIN)
        if drawn >= settings.lungs_out + settings.lungs_only:
            continue
        mask = cv2.resize(outline, size, interpolation=cv2.INTER_LINEAR)
        lungs = widened(np.asarray(mask, np.uint8), margin)[..., np.newaxis]
        out = drawn < settings.lungs_out
        np.copyto(image, _filling(image.shape, random), where=lungs if out else ~lungs)
        if out:
            target[:-1], target[-1] = target.sum() / (len(target) - 1), 0
    return images, targets


def _filling(shape: tuple[int, ...], random: np.random.Generator) -> Any:
    """One grey, or noise of some strength: no filling is to become a sign itself."""
    strength = np.float32(random.random())
    if random.random() < 0.5:
        return strength
    return random.random(shape, np.float32) * strength


def masks_for(data: Path) -> Path | None:
    """Where the lung masks are that belong to a data set: in it, or in lung-masks.zip beside it."""
    with Source(data) as source:
        if source.has_masks:
            return data
    beside = data.absolute().parent / MASKS_ZIP
    return beside if beside.exists() else None
