"""A recipe that trains in a second, and films for it to learn from."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import keras
import numpy as np

from cxr.preprocess import PreprocessSpec
from tests.phantoms import chest_phantom, encode_png
from training import lungs
from training.architectures import PlainNetwork, ResidualNetwork
from training.augment import NO_AUGMENTATION
from training.recipe import Recipe, Stage

TINY = Recipe(
    preprocess=PreprocessSpec(size=64),
    network=ResidualNetwork(stem=(4, 8), widths=(8, 8), depths=(1, 1)),
    stages=(Stage(epochs=3),),
    batch_size=8,
    optimizer="muon",
)

#: Another that costs a third: for what comes before or after a training.
QUICK = replace(
    TINY,
    network=PlainNetwork(filters=(4,), pool=4, dense=()),
    stages=(Stage(epochs=3, augmentation=NO_AUGMENTATION),),
    optimizer="adam",
    stressed_copies=0,
)


def film(seed: int, infected: bool) -> bytes:
    pixels = chest_phantom(size=96, seed=seed).astype(np.int32)
    # Phantoms resemble each other so much that they count as near-duplicates.
    coarse = np.random.default_rng(seed).normal(0, 60, (8, 8))
    pixels = pixels // 4 + cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC) + 90
    if infected:
        pixels[40:60, 20:40] += 90
    return encode_png(np.clip(pixels, 0, 255).astype(np.uint8))


def write_masks(path: Path, films: int = 25) -> None:
    """Films with masks of two ellipses, as a zip of lung masks has them."""
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(films):
            mask = np.zeros((96, 96), np.uint8)
            cv2.ellipse(mask, (28, 50), (14, 30), 0, 0, 360, 255, -1)
            cv2.ellipse(mask, (68, 50), (14, 30), 0, 0, 360, 255, -1)
            archive.writestr(f"x/images/{number}.png", film(8000 + number, False))
            archive.writestr(f"x/masks/{number}.png", encode_png(mask))


def threshold() -> keras.Model:
    """The least that segments: a grey level. The real U-Net takes a minute to compile."""
    image = keras.Input((lungs.SIDE, lungs.SIDE, 1))
    return keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(image))
