"""A small lung segmenter, from scratch: enough to blank lungs, not to diagnose.

It learns from pairs ``…/images/NAME`` and ``…/masks/NAME`` of normal adult films, in a minute
or two, and is kept in the cache, never shipped: the masks carry no licence.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from cxr.decode import decode
from cxr.preprocess import PreprocessSpec, from_eight_bits, in_eight_bits, to_model_input
from training.bootstrap import Figure, with_intervals
from training.errors import DataError
from training.files import write_json
from training.source import Source, fingerprint

SIDE = 128
#: A mask lies over the whole picture.
_SPEC = PreprocessSpec(size=SIDE, cut_frame=False)
_VERSION = 1  # of this module's network and training; part of the cache's key
_COPIES, _EPOCHS, _BATCH = 4, 6, 16
_HELD_OUT = 0.2
_MOST_PAIRS = 400
#: Share of a film that lungs can cover; a mask outside it is taken for a failure.
PLAUSIBLE = (0.12, 0.60)

Masks = NDArray[np.uint8]


@dataclass(frozen=True)
class Segmenter:
    """A trained segmenter with what it scored on films that it did not learn from.

    Attributes:
        quality: films learned from and held out, Dice and intersection over union on the
            held-out films, each with its interval.
        key: changes with what it was trained on and how.
    """

    model: keras.Model
    quality: dict[str, Any]
    key: str

    def masks(self, images: NDArray[np.uint8]) -> tuple[Masks, float]:
        """Lung masks, and the share of the films on which they are plausible.

        Films whose own mask is not get the median of those whose mask is.

        Args:
            images: uint8, shape (n, size, size), model inputs of any size.

        Returns:
            uint8, shape (n, 128, 128), 1 = lung.
        """
        small = np.stack([_resize(image) for image in images])
        found = _clean(_predict(self.model, small) > 0.5)
        covered = found.mean(axis=(1, 2))
        plausible = (covered >= PLAUSIBLE[0]) & (covered <= PLAUSIBLE[1])
        if plausible.any():
            found[~plausible] = np.median(found[plausible], axis=0)
        return found, float(plausible.mean())


def segmenter(data: Path, cache: Path, seed: int = 0) -> Segmenter:
    """Train on ``data``, or take from the cache what was trained on it before.

    Raises:
        DataError: there are no pairs of an image and its mask.
    """
    with Source(data) as source:
        # Ordered by hash, so that a numbering by hospital does not decide who is held out.
        pairs = sorted(
            source.masked.items(), key=lambda pair: hashlib.sha256(pair[0].encode()).digest()
        )[:_MOST_PAIRS]
        if len(pairs) < 20:
            raise DataError(
                f"{data} holds {len(pairs)} pairs of images/NAME and masks/NAME; at least 20 are "
                "needed to learn what a lung is."
            )
        made = f"{_VERSION} {_COPIES} {_EPOCHS} {seed} {fingerprint(source.members)}"
        key = hashlib.sha256(made.encode()).hexdigest()[:16]
        folder = cache / f"lungs-{key}"
        if (folder / "quality.json").exists():
            model = keras.saving.load_model(folder / "lungs.keras", compile=False)
            return Segmenter(model, json.loads((folder / "quality.json").read_text()), key)
        images, masks = _read(source, pairs)
    model, quality = _train(images, masks, seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "lungs.keras")
    write_json(folder / "quality.json", quality)
    return Segmenter(model, quality, key)


def hulls(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The convex hull of each lung of a mask, same shape, 1 = inside.

    The hull, because a segmenter leaves dense consolidation out of the lung, and that is
    just what belongs to it.
    """
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.zeros_like(mask)
    for contour in contours:
        cv2.fillConvexPoly(filled, cv2.convexHull(contour), (1,))
    return filled


def widened(mask: NDArray[np.uint8], margin: float) -> NDArray[np.bool_]:
    """The mask and what lies around it, as far as ``margin``, a share of the longer side."""
    reach = 2 * round(margin * max(mask.shape)) + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return np.asarray(cv2.dilate(mask, around) > 0)


def read_mask(source: Source, path: str) -> Masks:
    """A mask as it was drawn, uint8, shape (rows, columns), lungs above 127.

    Raises:
        DataError: it is no picture.
    """
    mask = cv2.imdecode(np.frombuffer(source.read(path), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise DataError(f"{path} is not a picture of a lung mask.")
    return np.asarray(mask, np.uint8)


def _read(source: Source, pairs: Sequence[tuple[str, str]]) -> tuple[NDArray[np.uint8], Masks]:
    images, masks = [], []
    for image, mask in pairs:
        film = to_model_input(decode(source.read(image)), _SPEC)[:, :, 0]
        images.append(in_eight_bits(film))
        masks.append((_resize(read_mask(source, mask)) > 127).astype(np.uint8))
    return np.stack(images), np.stack(masks)


def _train(
    images: NDArray[np.uint8], masks: Masks, seed: int
) -> tuple[keras.Model, dict[str, Any]]:
    keras.utils.set_random_seed(seed)
    held_out = max(round(_HELD_OUT * len(images)), 1)
    test, train = slice(0, held_out), slice(held_out, None)
    x, y = _augment(images[train], masks[train], np.random.default_rng(seed))
    model = _network()
    steps = _EPOCHS * -(-len(x) // _BATCH)
    model.compile(
        optimizer=keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss=_loss,
        jit_compile=False,  # compiling would take longer than it saves
    )
    model.fit(x[..., np.newaxis] / np.float32(255), y[..., np.newaxis].astype(np.float32),
              batch_size=_BATCH, epochs=_EPOCHS, verbose=0)  # fmt: skip
    found, truth = _clean(_predict(model, images[test]) > 0.5), masks[test]
    both = (found & truth).sum(axis=(1, 2)).astype(float)
    either = (found | truth).sum(axis=(1, 2))
    scores = {
        "dice": 2 * both / np.maximum(found.sum(axis=(1, 2)) + truth.sum(axis=(1, 2)), 1),
        "intersection_over_union": both / np.maximum(either, 1),
    }
    figures: dict[str, Figure] = with_intervals(
        lambda weights: {name: float(np.average(v, weights=weights)) for name, v in scores.items()},
        np.arange(held_out),
        seed=seed,
    )
    quality = {"learned_from": len(images) - held_out, "held_out": held_out, "figures": figures}
    return model, quality


def _network() -> keras.Model:
    """A U-Net (Ronneberger 2015, arXiv 1505.04597) of a quarter of a million weights."""

    def twice(x: Any, width: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.GroupNormalization(4)(x))
        return x

    image = keras.Input((SIDE, SIDE, 1))
    x, skips = image, []
    for width in (8, 16, 32):
        x = twice(x, width)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = twice(x, 64)
    for width, skip in zip((32, 16, 8), reversed(skips), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), skip])
        x = twice(x, width)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x), name="lungs")


def _loss(truth: Any, found: Any) -> Any:
    """Cross-entropy, pixel by pixel, and what the Dice coefficient lacks of 1."""
    common = ops.sum(truth * found, axis=(1, 2, 3))
    total = ops.sum(truth + found, axis=(1, 2, 3))
    dice = 1 - ops.mean((2 * common + 1) / (total + 1))
    return dice + ops.mean(keras.losses.binary_crossentropy(truth, found))


def _augment(
    images: NDArray[np.uint8], masks: Masks, random: np.random.Generator
) -> tuple[NDArray[np.float32], Masks]:
    """Each film in several poses and exposures: the films to segment are no normal adults."""
    x: list[NDArray[np.float32]] = [images.astype(np.float32)]
    y: list[Masks] = [masks]
    for _ in range(_COPIES - 1):
        for image, mask in zip(images, masks, strict=True):
            turn = cv2.getRotationMatrix2D(
                (SIDE / 2, SIDE / 2), random.uniform(-12, 12), random.uniform(0.75, 1.15)
            )
            turn[:, 2] = turn[:, 2] + random.uniform(-0.08 * SIDE, 0.08 * SIDE, 2)
            moved = cv2.warpAffine(image, turn, (SIDE, SIDE))
            lung = cv2.warpAffine(mask, turn, (SIDE, SIDE), flags=cv2.INTER_NEAREST)
            if random.random() < 0.5:
                moved, lung = moved[:, ::-1], lung[:, ::-1]
            levels = (moved / 255.0) ** np.exp(random.uniform(-0.6, 0.6))
            # Haze over a part of the film, as consolidation lays it over a lung.
            cloud = cv2.resize(random.normal(0, 0.2, (4, 4)), (SIDE, SIDE), interpolation=2)
            x.append(np.clip(levels + cloud, 0, 1).astype(np.float32)[np.newaxis] * 255)
            y.append(np.ascontiguousarray(lung, np.uint8)[np.newaxis])
    return np.concatenate(x), np.concatenate(y)


def _predict(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    inputs = from_eight_bits(images[..., np.newaxis])
    return np.asarray(model.predict(inputs, batch_size=64, verbose=0))[..., 0]


def _clean(masks: NDArray[np.bool_]) -> Masks:
    """The two largest pieces of each mask, without holes."""
    cleaned = np.zeros(masks.shape, np.uint8)
    for mask, clean in zip(masks.astype(np.uint8), cleaned, strict=True):
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in sorted(contours, key=cv2.contourArea)[-2:]:
            cv2.drawContours(clean, [contour], -1, (1,), cv2.FILLED)
    return cleaned


def _resize(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
