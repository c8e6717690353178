"""A picture as another hospital, scanner or person might have sent it.

Every class of the gate is made from the same films by turning, inverting and cropping them,
and everything else (optics, grey levels, burnt-in text, compression) is drawn alike for films
and negatives: a network that saw blur or JPEG blocks on one side only would learn those.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cxr.preprocess import PreprocessSpec, in_eight_bits, to_model_input
from cxr.radiograph import Pixels, Radiograph
from cxr.verdict import CROPPED, INVERTED, OTHER, TURNED_LEFT, TURNED_RIGHT, UPSIDE_DOWN

Picture = NDArray[np.uint8]

#: Side at which pictures are augmented, in pixels, before they shrink to the input's.
WORKING_SIDE = 128

#: Share of the film's area that a view of the class ``cropped`` shows. What lies between it
#: and ``_FRONTAL_AREA`` is shown to the network as neither.
_CROPPED_AREA = (0.12, 0.36)
_FRONTAL_AREA = (0.72, 1.0)

#: Quarter turns anticlockwise, from upright.
TURNS = {TURNED_LEFT: 1, UPSIDE_DOWN: 2, TURNED_RIGHT: 3}


def view(picture: Picture, kind: str, spec: PreprocessSpec, random: np.random.Generator) -> Picture:
    """One training view.

    Args:
        picture: uint8, shape (WORKING_SIDE, WORKING_SIDE): an upright, positive film, or, for
            the class ``other``, anything.
        kind: id of the class that the view shall belong to.
        spec: of the gate.

    Returns:
        uint8, shape (size, size): 255 × the model input.
    """
    if random.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    picture = _pose(picture, kind, random)
    picture = _grey_levels(picture, random)
    if random.random() < 0.45:
        picture = _burn_in(picture, random)
    if kind == OTHER:
        turns, inverted = int(random.integers(4)), random.random() < 0.3
    elif kind == INVERTED:
        # Inverted and lying on its side is inverted first: one thing to put right at a time.
        turns, inverted = int(random.choice([0, 0, 0, 1, 2, 3])), True
    else:
        turns, inverted = TURNS.get(kind, 0), False
    if inverted:
        picture = 255 - picture
    picture = np.ascontiguousarray(np.rot90(picture, turns))
    picture = _margins(picture, random)
    return plain(_carrier(picture, random), spec)


def plain(picture: Picture, spec: PreprocessSpec) -> Picture:
    """The picture as it is; uint8, shape (size, size): 255 × the model input."""
    return in_eight_bits(input_of(picture, spec)[:, :, 0])


def input_of(picture: Pixels, spec: PreprocessSpec) -> NDArray[np.float32]:
    """Model input of a picture that needs no decoding, shape (size, size, 1)."""
    height, width = picture.shape
    return to_model_input(Radiograph(picture, "PNG", width, height), spec)


def _pose(picture: Picture, kind: str, random: np.random.Generator) -> Picture:
    """Crop, rotate, stretch and shift in one resampling; the outside is air or the border."""
    side = WORKING_SIDE
    area = random.uniform(*(_CROPPED_AREA if kind == CROPPED else _FRONTAL_AREA))
    if kind != CROPPED and random.random() < 0.5:
        area = 1.0
    aspect = np.exp(random.uniform(-0.25, 0.25))
    across, down = min(np.sqrt(area * aspect), 1.0), min(np.sqrt(area / aspect), 1.0)
    centre_x = random.uniform(across / 2, 1 - across / 2) * side
    centre_y = random.uniform(down / 2, 1 - down / 2) * side
    angle = np.deg2rad(random.normal(0, 5))
    shear = random.normal(0, 0.04)
    scale_x, scale_y = across, down
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array(
        [[scale_x * cos, -scale_y * sin + shear, 0.0], [scale_x * sin, scale_y * cos, 0.0]]
    )
    middle = np.array([(side - 1) / 2, (side - 1) / 2])
    matrix[:, 2] = np.array([centre_x, centre_y]) - matrix[:, :2] @ middle
    border = cv2.BORDER_CONSTANT if random.random() < 0.7 else cv2.BORDER_REPLICATE
    return np.asarray(
        cv2.warpAffine(
            picture,
            matrix,
            (side, side),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=border,
            borderValue=0,
        ),
        np.uint8,
    )


def _grey_levels(picture: Picture, random: np.random.Generator) -> Picture:
    """Window, tone curve, uneven exposure, and sometimes equalised as some detectors do."""
    if random.random() < 0.12:
        clip = float(random.uniform(1.0, 3.0))
        picture = np.asarray(cv2.createCLAHE(clip, (4, 4)).apply(picture), np.uint8)
    levels = picture.astype(np.float32) / 255
    low, high = random.uniform(-0.1, 0.12), random.uniform(0.85, 1.15)
    levels = np.clip((levels - low) / (high - low), 0, 1) ** np.exp(random.uniform(-0.7, 0.7))
    if random.random() < 0.25:
        ramp = np.linspace(-1, 1, WORKING_SIDE, dtype=np.float32)
        slope = random.normal(0, 0.12, 2).astype(np.float32)
        levels = levels + slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
    return (np.clip(levels, 0, 1) * 255).astype(np.uint8)


def _burn_in(picture: Picture, random: np.random.Generator) -> Picture:
    """Side markers, lines of text, collimator edges, tubes and leads."""
    picture = picture.copy()
    side = WORKING_SIDE
    for _ in range(int(random.integers(1, 4))):
        where = (int(random.integers(0, side - 12)), int(random.integers(8, side)))
        if random.random() < 0.7:  # near a border, as markers are
            edge = int(random.choice([6, side - 18]))
            where = (edge, where[1]) if random.random() < 0.5 else (where[0], max(edge, 10))
        length = int(random.choice([1, 1, 2, 5, 9]))
        text = "".join(random.choice(list("LRPAE0123456789MSX:"), length))
        size = float(random.uniform(0.25, 0.6))
        cv2.putText(picture, text, where, int(random.integers(0, 8)), size, _grey(random), 1, 16)
    if random.random() < 0.2:
        points = (random.random((int(random.integers(3, 6)), 2)) * side).astype(np.int32)
        cv2.polylines(picture, [points], False, _grey(random), 1, cv2.LINE_AA)
    if random.random() < 0.1:
        centre = (int(random.integers(side)), int(random.integers(side)))
        cv2.circle(picture, centre, int(random.integers(2, 9)), _grey(random), -1, cv2.LINE_AA)
    return picture


def _margins(picture: Picture, random: np.random.Generator) -> Picture:
    """Letterboxing, collimation, a white edge, a light box around the film."""
    if random.random() > 0.35:
        return picture
    side = WORKING_SIDE
    sides = random.uniform(0, 0.16, 4) * (random.random(4) < 0.6)
    if random.random() < 0.4:  # a portrait or landscape film on a square canvas
        sides = np.zeros(4)
        which = 0 if random.random() < 0.5 else 2
        sides[which : which + 2] = random.uniform(0.02, 0.2)
    top, bottom, left, right = (sides * side).astype(int)
    fill = int(random.choice([0, 0, 0, 255, int(random.integers(0, 256))]))
    canvas = np.full((side, side), fill, np.uint8)
    height, width = side - top - bottom, side - left - right
    canvas[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA
    )
    return canvas


def _carrier(picture: Picture, random: np.random.Generator) -> Picture:
    """Lower resolution, blur, grain, JPEG."""
    if random.random() < 0.4:
        small = int(random.integers(36, 112))
        picture = _resized(picture, small)
        if random.random() < 0.5:
            picture = _jpeg(picture, random)
        picture = _resized(picture, WORKING_SIDE)
    if random.random() < 0.2:
        blurred = cv2.GaussianBlur(picture, (0, 0), float(random.uniform(0.5, 2.5)))
        picture = np.asarray(blurred, np.uint8)
    if random.random() < 0.3:
        grain = random.normal(0, random.uniform(2, 14), picture.shape)
        picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    if random.random() < 0.25:
        picture = _jpeg(picture, random)
    return picture


def _resized(picture: Picture, side: int) -> Picture:
    method = cv2.INTER_AREA if side < len(picture) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), np.uint8)


def _jpeg(picture: Picture, random: np.random.Generator) -> Picture:
    quality = int(random.integers(20, 95))
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return np.asarray(decoded, np.uint8)


def _grey(random: np.random.Generator) -> int:
    return int(random.choice([255, 255, 230, 0, int(random.integers(0, 256))]))
