"""Pictures of no chest, made by program: textures, scenes, other body parts, ruined films.

Each maker takes a generator of random numbers and gives uint8, shape (WORKING_SIDE,
WORKING_SIDE). They need not look like anything in particular; they have to differ, so that
the network learns what a chest film is rather than what a few other things are.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.gate.views import WORKING_SIDE, Picture

_SIDE = WORKING_SIDE
_Y, _X = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32) / _SIDE


def noise(random: np.random.Generator) -> Picture:
    """Blank, or noise with a power spectrum between white and cloudy."""
    if random.random() < 0.15:
        base = np.full((_SIDE, _SIDE), random.uniform(0, 255))
        return _grey(base + random.normal(0, random.uniform(0, 3), base.shape))
    return _stretch(_spectrum(random, random.uniform(0, 2.6)))


def gradient(random: np.random.Generator) -> Picture:
    """Ramps, vignettes and a few soft blobs."""
    levels = random.normal() * _X + random.normal() * _Y
    for _ in range(int(random.integers(0, 6))):
        width = random.uniform(0.05, 0.5, 2)
        centre = random.random(2)
        blob = ((_X - centre[0]) / width[0]) ** 2 + ((_Y - centre[1]) / width[1]) ** 2
        levels = levels + random.normal() * np.exp(-blob)
    return _stretch(levels)


def dead_leaves(random: np.random.Generator) -> Picture:
    """Shaded shapes that hide each other: the statistics of photographs (Lee 2001)."""
    picture = np.full((_SIDE, _SIDE), random.uniform(0, 255), np.float32)
    texture = _spectrum(random, random.uniform(0.8, 2.0))
    angular = random.random()
    for _ in range(int(random.integers(15, 120))):
        radius = _SIDE * 0.03 / max(random.random(), 0.06)
        mask = np.zeros((_SIDE, _SIDE), np.uint8)
        centre = random.random(2) * _SIDE
        if random.random() < angular:
            corners = random.normal(0, radius, (int(random.integers(3, 6)), 2)) + centre
            cv2.fillConvexPoly(mask, cv2.convexHull(corners.astype(np.int32)), 1)
        else:
            axes = (int(radius) + 1, int(radius * random.uniform(0.3, 1)) + 1)
            cv2.ellipse(
                mask, centre.astype(int).tolist(), axes, random.uniform(0, 180), 0, 360, 1, -1
            )
        shade = random.uniform(0, 255) + random.normal(0, 80) * (_X - 0.5)
        shade = shade + random.normal(0, 80) * (_Y - 0.5) + random.uniform(0, 25) * texture
        picture = np.where(mask > 0, shade, picture)
    return _grey(picture)


def limb(random: np.random.Generator) -> Picture:
    """Long bones with joints in soft tissue, one or several, as films of arms and legs show."""
    picture = np.full((_SIDE, _SIDE), random.uniform(0, 40), np.float32)
    angle = random.uniform(0, np.pi)
    along = (_X - 0.5) * np.cos(angle) + (_Y - 0.5) * np.sin(angle)
    across = -(_X - 0.5) * np.sin(angle) + (_Y - 0.5) * np.cos(angle) + random.normal(0, 0.08)
    across = across + random.normal(0, 0.3) * along**2
    tissue = random.uniform(0.15, 0.5)
    picture += random.uniform(40, 110) * np.sqrt(np.clip(1 - (across / tissue) ** 2, 0, 1))
    bones = int(random.integers(1, 6))
    joints = random.uniform(-0.5, 0.5, int(random.integers(0, 4)))
    for number in range(bones):
        place = (number - (bones - 1) / 2) * 2 * tissue / (bones + 0.5)
        width = random.uniform(0.3, 0.9) * tissue / (bones + 0.5)
        flare = sum(np.exp(-(((along - j) / 0.09) ** 2)) for j in joints)
        distance = np.abs(across - place) / (width * (1 + 0.5 * flare))
        cortex = np.exp(-(((distance - 0.85) / 0.2) ** 2))
        picture += random.uniform(40, 120) * (0.55 * (distance < 1) + 0.6 * cortex)
    for j in joints:
        picture -= 60 * np.exp(-(((along - j) / 0.015) ** 2)) * (np.abs(across) < tissue)
    return _grey(picture + 6 * _spectrum(random, 1.2))


def section(random: np.random.Generator) -> Picture:
    """An ellipse with ellipses in it on a plain ground: a slice of CT or MR; or a fan of echoes."""
    if random.random() < 0.25:
        return _fan(random)
    ground = random.uniform(0, 120)
    picture = np.full((_SIDE, _SIDE), ground, np.float32)
    radii = random.uniform(0.2, 0.48, 2)
    centre = np.array([0.5, 0.5]) + random.normal(0, 0.05, 2)
    body = _ellipse(centre, radii, random.normal(0, 0.3))
    picture[body] = random.uniform(0, 255)
    rim = _ellipse(centre, radii * random.uniform(0.82, 0.97), 0.0)
    picture[body & ~rim] = random.uniform(0, 255)
    symmetric = random.random() < 0.6
    for _ in range(int(random.integers(1, 14))):
        offset = random.uniform(-0.7, 0.7, 2) * radii
        size, turn, shade = (
            random.uniform(0.03, 0.45, 2) * radii,
            random.uniform(0, np.pi),
            random.uniform(0, 255),
        )
        for sign in (1, -1) if symmetric else (1,):
            place = centre + offset * np.array([sign, 1])
            picture[_ellipse(place, size, sign * turn) & body] = shade
    if random.random() < 0.4:  # the couch
        picture[np.abs(_Y - random.uniform(0.85, 0.97) - 0.4 * (_X - 0.5) ** 2) < 0.008] = 200
    return _grey(picture + random.uniform(0, 20) * _spectrum(random, random.uniform(0, 1.5)))


def _fan(random: np.random.Generator) -> Picture:
    apex = np.array([0.5 + random.normal(0, 0.1), random.uniform(-0.3, 0.05)])
    radius = np.hypot(_X - apex[0], _Y - apex[1])
    angle = np.arctan2(_X - apex[0], _Y - apex[1])
    inside = (np.abs(angle) < random.uniform(0.4, 0.9)) & (radius < random.uniform(0.8, 1.2))
    speckle = np.abs(_spectrum(random, 0.6)) * np.exp(random.normal(0, 0.8) * radius)
    return _stretch(np.where(inside, speckle + 0.4 * np.abs(_spectrum(random, 2.0)), 0))


def shuffled(films: NDArray[np.uint8], random: np.random.Generator) -> Picture:
    """A chest film without its layout: cut and mixed, doubled, stirred, or its spectrum alone.

    Right in every texture and wrong in shape, so that texture alone never passes.

    Args:
        films: shape (n, WORKING_SIDE, WORKING_SIDE): training films.
    """
    film = np.asarray(films[random.integers(len(films))])
    how = random.integers(9)
    if how == 0:  # tiles in another order
        tiles = int(random.choice([2, 4]))
        size = _SIDE // tiles
        order = in_order = np.arange(tiles**2)
        while np.array_equal(order, in_order):
            order = random.permutation(in_order)
        pieces = [
            film[size * (i // tiles) :, size * (i % tiles) :][:size, :size] for i in order.tolist()
        ]
        rows = [np.hstack(pieces[i : i + tiles]) for i in range(0, tiles**2, tiles)]
        return np.vstack(rows)
    if how == 1:  # several films on one sheet
        count = int(random.choice([2, 2, 3]))
        size = _SIDE // count
        chosen = films[random.integers(len(films), size=count**2)]
        small = [cv2.resize(one, (size, size), interpolation=cv2.INTER_AREA) for one in chosen]
        rows = [np.hstack(small[i : i + count]) for i in range(0, count**2, count)]
        return _grey(_resized(np.vstack(rows)))
    if how == 2:  # stirred
        distance = np.hypot(_X - 0.5, _Y - 0.5)
        twist = random.choice([-1, 1]) * random.uniform(2.5, 8) * np.exp(-((distance / 0.4) ** 2))
        dx, dy = _X - 0.5, _Y - 0.5
        map_x = (0.5 + dx * np.cos(twist) - dy * np.sin(twist)) * _SIDE
        map_y = (0.5 + dx * np.sin(twist) + dy * np.cos(twist)) * _SIDE
        return _moved(film, map_x, map_y)
    if how == 3:  # its spectrum with random phases
        amplitude = np.abs(np.fft.rfft2(film))
        phase = np.exp(2j * np.pi * random.random(amplitude.shape))
        return _stretch(np.fft.irfft2(amplitude * phase, film.shape))
    if how == 5:  # two films over each other, one of them turned
        other = np.rot90(films[random.integers(len(films))], int(random.integers(1, 4)))
        share = random.uniform(0.35, 0.65)
        return _stretch(share * film.astype(np.float32) + (1 - share) * other.astype(np.float32))
    if how == 6:  # bent out of shape
        strength = random.uniform(0.1, 0.25) * _SIDE
        bend_x, bend_y = (
            _resized(random.normal(0, strength, (4, 4)).astype(np.float32)) for _ in range(2)
        )
        return _moved(film, _X * _SIDE + bend_x, _Y * _SIDE + bend_y)
    if how == 7:  # one half of the chest, twice
        if random.random() < 0.5:
            half = film[:, : _SIDE // 2] if random.random() < 0.5 else film[:, _SIDE // 2 :]
            return np.hstack([half, half])
        half = film[: _SIDE // 2] if random.random() < 0.5 else film[_SIDE // 2 :]
        return np.vstack([half, half[::-1]])
    if how == 4:  # halves exchanged
        axis = int(random.integers(2))
        return np.ascontiguousarray(np.roll(film, _SIDE // 2, axis))
    corner = random.integers(0, int(_SIDE * 0.7), 2)  # a detail as large as the whole
    size = int(_SIDE * random.uniform(0.12, 0.28))
    detail = film[corner[0] : corner[0] + size, corner[1] : corner[1] + size]
    return _grey(_resized(detail))


def _moved(film: Picture, x: NDArray[Any], y: NDArray[Any]) -> Picture:
    """The film with the pixel at (x, y) in the place of each."""
    maps = x.astype(np.float32), y.astype(np.float32)
    moved = cv2.remap(film, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def _resized(picture: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC))


def _ellipse(
    centre: NDArray[np.float64], radii: NDArray[np.float64], turn: float
) -> NDArray[np.bool_]:
    x, y = _X - centre[0], _Y - centre[1]
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    inside: NDArray[np.bool_] = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 < 1
    return inside


def _spectrum(random: np.random.Generator, exponent: float) -> NDArray[np.float32]:
    """Noise of amplitude 1/frequency^exponent; zero mean, unit variance."""
    frequency = np.hypot(np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None])
    amplitude = np.maximum(frequency, 1 / _SIDE) ** -exponent
    white = np.fft.rfft2(random.normal(size=(_SIDE, _SIDE)))
    field = np.fft.irfft2(white * amplitude, (_SIDE, _SIDE))
    return np.asarray((field - field.mean()) / max(field.std(), 1e-9), np.float32)


def _stretch(levels: NDArray[np.floating]) -> Picture:
    low, high = float(levels.min()), float(levels.max())
    return _grey((levels - low) / max(high - low, 1e-9) * 255)


def _grey(levels: NDArray[np.floating]) -> Picture:
    return np.clip(levels, 0, 255).astype(np.uint8)
