"""Augmentation: what differs between two hospitals, and must not decide a reading.

Keras layers in ``keras.ops`` (any backend, CPU or GPU). Each takes and returns float32
images of shape (n, size, size, 1) in [0, 1], draws its own parameters per image, and does
nothing outside training. They are no part of the exported model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers, ops


@dataclass(frozen=True)
class Augmentation:
    """Largest change in each direction; 0 switches one off.

    Attributes:
        flip: mirror left and right half of the time.
        rotation: degrees.
        zoom: relative change of scale, and of aspect ratio by half as much.
        shift: of the side.
        shear: tangent of the angle.
        gamma: of the exponent's natural logarithm.
        tone: standard deviation of the logarithm of a tone curve's slope in each of six equal
            steps of grey: what one detector's curve does to the lungs, and not to the bones,
            no gamma imitates (cf. Zhou 2021, Models Genesis, arXiv 2004.07882).
        contrast: relative change around the mean.
        brightness: of the full scale.
        blur: chance that an image is smoothed (a softer detector, a recompressed file).
        noise: standard deviation, of the full scale.
        erase: chance that a rectangle of up to a third of the side is blanked.
        border: chance that a frame of up to an eighth of the side is blanked, where markers,
            labels and collimators tell hospitals apart (DeGrave 2021, Nat Mach Intell 3:610).
        lungs_out: chance that the lungs are blanked, and the film is to be called nothing.
        lungs_only: chance that all but the lungs is blanked (``training/blanking.py``).
        mixup: alpha of the Beta distribution that two images are blended by
            (Zhang 2018, arXiv 1710.09412).
    """

    flip: bool = True
    rotation: float = 12.0
    zoom: float = 0.15
    shift: float = 0.08
    shear: float = 0.08
    gamma: float = 0.7
    tone: float = 0.0
    contrast: float = 0.3
    brightness: float = 0.1
    blur: float = 0.3
    noise: float = 0.03
    erase: float = 0.25
    border: float = 0.0
    lungs_out: float = 0.0
    lungs_only: float = 0.0
    mixup: float = 0.0

    @property
    def blanks_lungs(self) -> bool:
        """Whether it needs to know where the lungs are."""
        return bool(self.lungs_out or self.lungs_only)


#: Films as they are.
NO_AUGMENTATION = Augmentation(
    flip=False,
    rotation=0.0,
    zoom=0.0,
    shift=0.0,
    shear=0.0,
    gamma=0.0,
    contrast=0.0,
    brightness=0.0,
    blur=0.0,
    noise=0.0,
    erase=0.0,
)


class _RandomLayer(layers.Layer):  # type: ignore[misc]
    """A layer with its own seeded generator, whose state is saved with the model."""

    def __init__(self, settings: Augmentation, seed: int) -> None:
        super().__init__(dtype="float32")
        self.settings = settings
        self.generator = keras.random.SeedGenerator(seed)

    def uniform(self, images: Any, low: float, high: float) -> Any:
        """One number per image, shape (n, 1, 1, 1)."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        return keras.random.uniform(shape, low, high, seed=self.generator)

    def call(self, images: Any, training: bool = False) -> Any:
        return self.change(images) if training else images

    def change(self, images: Any) -> Any:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class RandomAffine(_RandomLayer):
    """Flip, rotation, zoom, aspect, shift and shear in one resampling."""

    def change(self, images: Any) -> Any:
        s, side = self.settings, images.shape[1]
        angle, zoom, aspect, shear, across, down, flip = (
            ops.reshape(self.uniform(images, -1.0, 1.0), (-1,)) for _ in range(7)
        )
        angle = angle * (s.rotation * np.pi / 180)
        scale_x = ops.exp(zoom * s.zoom + aspect * s.zoom / 2)
        scale_y = ops.exp(zoom * s.zoom - aspect * s.zoom / 2)
        if s.flip:
            scale_x = scale_x * ops.where(flip < 0, -1.0, 1.0)
        shear = shear * s.shear
        # Output pixel → input pixel, about the centre of the image.
        a0 = scale_x * ops.cos(angle)
        a1 = scale_y * (shear * ops.cos(angle) - ops.sin(angle))
        b0 = scale_x * ops.sin(angle)
        b1 = scale_y * (shear * ops.sin(angle) + ops.cos(angle))
        centre = (side - 1) / 2
        a2 = centre - (a0 + a1) * centre + across * s.shift * side
        b2 = centre - (b0 + b1) * centre + down * s.shift * side
        zero = ops.zeros_like(a0)
        transform = ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)
        return ops.image.affine_transform(
            images, transform, interpolation="bilinear", fill_mode="constant", fill_value=0.0
        )


class RandomBlur(_RandomLayer):
    """Gaussian smoothing of one strength a batch, blended per image."""

    def change(self, images: Any) -> Any:
        s = self.settings
        sigma = keras.random.uniform((), 0.5, 1.8, seed=self.generator)
        offsets = ops.arange(-3, 4, dtype="float32")
        weights = ops.exp(-0.5 * ops.square(offsets / sigma))
        weights = weights / ops.sum(weights)
        smooth = ops.conv(images, ops.reshape(weights, (7, 1, 1, 1)), padding="same")
        smooth = ops.conv(smooth, ops.reshape(weights, (1, 7, 1, 1)), padding="same")
        chosen = self.uniform(images, 0.0, 1.0) < s.blur
        return ops.where(chosen, smooth, images)


class RandomIntensity(_RandomLayer):
    """Gamma, contrast, brightness and sensor noise."""

    def change(self, images: Any) -> Any:
        s = self.settings
        exponent = ops.exp(self.uniform(images, -s.gamma, s.gamma))
        images = ops.power(ops.maximum(images, 1e-4), exponent)
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = (images - mean) * (1 + self.uniform(images, -s.contrast, s.contrast)) + mean
        images = images + self.uniform(images, -s.brightness, s.brightness)
        noise = keras.random.normal(ops.shape(images), seed=self.generator)
        images = images + noise * self.uniform(images, 0.0, s.noise)
        return ops.clip(images, 0.0, 1.0)


class RandomTone(_RandomLayer):
    """A rising, piecewise linear curve from 0 to 1 in place of the film's own tone curve."""

    steps = 6

    def change(self, images: Any) -> Any:
        shape = (ops.shape(images)[0], self.steps)
        slopes = ops.exp(keras.random.normal(shape, stddev=self.settings.tone, seed=self.generator))
        heights = slopes / ops.sum(slopes, axis=1, keepdims=True)
        curved = ops.zeros_like(images)
        for step in range(self.steps):
            height = ops.reshape(heights[:, step], (-1, 1, 1, 1))
            curved = curved + height * ops.clip(images * self.steps - step, 0.0, 1.0)
        return curved


class RandomErase(_RandomLayer):
    """Blank a rectangle (Zhong 2020, arXiv 1708.04896), so that no one spot decides."""

    def change(self, images: Any) -> Any:
        s, side = self.settings, images.shape[1]
        position = ops.reshape(ops.arange(side, dtype="float32") / side, (1, side, 1, 1))
        across = ops.reshape(position, (1, 1, side, 1))

        def inside(axis: Any) -> Any:
            length = self.uniform(images, 0.1, 0.34)
            start = self.uniform(images, 0.0, 1.0) * (1 - length)
            return ops.logical_and(axis >= start, axis < start + length)

        hit = ops.logical_and(inside(position), inside(across))
        hit = ops.logical_and(hit, self.uniform(images, 0.0, 1.0) < s.erase)
        return ops.where(hit, self.uniform(images, 0.0, 1.0), images)


class RandomBorder(_RandomLayer):
    """Blank a frame, each of its four sides of another width."""

    def change(self, images: Any) -> Any:
        side = images.shape[1]
        position = ops.reshape(ops.arange(side, dtype="float32") / side, (1, side, 1, 1))
        across = ops.reshape(position, (1, 1, side, 1))
        top, bottom, left, right = (self.uniform(images, 0.0, 0.125) for _ in range(4))
        rows = ops.logical_or(position < top, position >= 1 - bottom)
        columns = ops.logical_or(across < left, across >= 1 - right)
        hit = ops.logical_or(rows, columns)
        hit = ops.logical_and(hit, self.uniform(images, 0.0, 1.0) < self.settings.border)
        return ops.where(hit, self.uniform(images, 0.0, 1.0), images)


def augmenter(settings: Augmentation, seed: int) -> keras.Sequential:
    """All image layers in the order in which the physics has them: pose, optics, detector."""
    s = settings
    chain: list[layers.Layer] = []
    if s.flip or s.rotation or s.zoom or s.shift or s.shear:
        chain.append(RandomAffine(settings, seed))
    if s.blur:
        chain.append(RandomBlur(settings, seed + 1))
    if s.tone:
        chain.append(RandomTone(settings, seed + 4))
    if s.gamma or s.contrast or s.brightness or s.noise:
        chain.append(RandomIntensity(settings, seed + 2))
    if s.erase:
        chain.append(RandomErase(settings, seed + 3))
    if s.border:
        chain.append(RandomBorder(settings, seed + 5))
    return keras.Sequential(chain or [layers.Identity()], name="augmentation")


def mixup(
    images: np.ndarray[Any, Any],
    targets: np.ndarray[Any, Any],
    alpha: float,
    random: np.random.Generator,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Blend a batch with a permutation of itself; images (n, …) and one-hot targets (n, c)."""
    if not alpha:
        return images, targets
    share = random.beta(alpha, alpha, len(images)).astype(np.float32)
    other = random.permutation(len(images))
    weight = share.reshape(-1, *[1] * (images.ndim - 1))
    blended = weight * images + (1 - weight) * images[other]
    return blended, share[:, None] * targets + (1 - share[:, None]) * targets[other]
