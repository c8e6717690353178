"""Pictures that a computer or a pen makes: documents, screenshots, plots, drawings.

Each maker takes a generator of random numbers and gives uint8, shape (WORKING_SIDE,
WORKING_SIDE).
"""

from __future__ import annotations

import cv2
import numpy as np

from training.gate.views import WORKING_SIDE, Picture

#: Drawn at twice the size and shrunk, so that lines and letters have soft edges.
_SIDE = 2 * WORKING_SIDE
_LETTERS = list("abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;-  ")


def document(random: np.random.Generator) -> Picture:
    """A printed or scanned page: headings, paragraphs, a table, a picture box, a stamp."""
    paper, ink = random.uniform(190, 255), random.uniform(0, 90)
    page = np.full((_SIDE, _SIDE), paper, np.uint8)
    left, size = int(random.integers(4, 40)), float(random.uniform(0.25, 0.6))
    y = int(random.integers(10, 60))
    while y < _SIDE - 10:
        drawn = random.random()
        if drawn < 0.06:
            height = int(random.integers(20, 80))
            cv2.rectangle(page, (left, y), (_SIDE - left, y + height), ink, 1 - 2 * (drawn < 0.02))
            y += height
        elif drawn < 0.12:
            _table(page, (left, y), ink, random)
            y += 60
        else:
            length = 60 if random.random() < 0.8 else int(random.integers(3, 40))
            _text(page, (left, y), size * (2 if drawn > 0.96 else 1), ink, length, random)
        y += int(30 * size) + int(random.integers(1, 6))
    return _shrink(page)


def screenshot(random: np.random.Generator) -> Picture:
    """Windows, panels, lists, buttons and text, light or dark."""
    screen = np.full((_SIDE, _SIDE), random.uniform(0, 255), np.uint8)
    for _ in range(int(random.integers(2, 9))):
        x, y = (int(v) for v in random.integers(-20, _SIDE - 30, 2))
        width, height = (int(v) for v in random.integers(30, _SIDE, 2))
        ground = random.uniform(0, 255)
        ink = ground + 128 if ground < 128 else ground - 128
        cv2.rectangle(screen, (x, y), (x + width, y + height), ground, -1)
        cv2.rectangle(screen, (x, y), (x + width, y + height), ink, 1)
        if random.random() < 0.7:  # title bar
            cv2.rectangle(screen, (x, y), (x + width, y + 14), random.uniform(0, 255), -1)
            _text(screen, (x + 4, y + 11), 0.35, ink, 14, random)
        for row in range(y + 26, y + height, int(random.integers(10, 24))):
            if random.random() < 0.75:
                _text(screen, (x + 6, row), 0.35, ink, max(width // 8, 2), random)
        for _ in range(int(random.integers(0, 5))):
            corner = (x + int(random.integers(0, width)), y + int(random.integers(0, height)))
            extent = (int(random.integers(6, 60)), int(random.integers(5, 22)))
            end = (corner[0] + extent[0], corner[1] + extent[1])
            cv2.rectangle(screen, corner, end, random.uniform(0, 255), -1)
    return _shrink(screen)


def plot(random: np.random.Generator) -> Picture:
    """Axes with curves, bars, dots or a pie."""
    dark = random.random() < 0.25
    ground, ink = (30, 230) if dark else (250, 20)
    page = np.full((_SIDE, _SIDE), ground, np.uint8)
    left, bottom = int(random.integers(15, 50)), _SIDE - int(random.integers(15, 50))
    if random.random() < 0.15:
        start = 0.0
        for end in np.append(np.sort(random.uniform(0, 360, int(random.integers(2, 7)))), 360.0):
            radius = int(_SIDE * 0.35)
            shade = random.uniform(0, 255)
            middle = (_SIDE // 2, _SIDE // 2)
            cv2.ellipse(page, middle, (radius, radius), 0, start, float(end), shade, -1)
            start = float(end)
        return _shrink(page)
    cv2.line(page, (left, bottom), (_SIDE - 10, bottom), ink, 1)
    cv2.line(page, (left, 10), (left, bottom), ink, 1)
    for tick in range(0, 6):
        x = left + tick * (_SIDE - left - 15) // 5
        _text(page, (x - 5, bottom + 14), 0.3, ink, 3, random)
        if random.random() < 0.5:
            cv2.line(page, (x, 10), (x, bottom), (ground + ink) // 2, 1)
    count = int(random.integers(4, 60))
    xs = np.linspace(left + 3, _SIDE - 12, count).astype(int)
    kind = random.integers(3)
    for _ in range(int(random.integers(1, 4))):
        heights = np.cumsum(random.normal(0, 1, count)) if kind else random.random(count)
        span = max(float(np.ptp(heights)), 1e-9)
        ys = (bottom - 5 - (heights - heights.min()) / span * (bottom - 25)).astype(int)
        shade = random.uniform(0, 255)
        points = np.stack([xs, ys], 1).astype(np.int32)
        if kind == 0:
            width = max((_SIDE - left) // (2 * count), 1)
            for x, y in points.tolist():
                cv2.rectangle(page, (x - width, y), (x + width, bottom), shade, -1)
        elif kind == 1:
            cv2.polylines(page, [points], False, shade, int(random.integers(1, 4)), cv2.LINE_AA)
        else:
            for x, y in points.tolist():
                cv2.circle(page, (x, y), int(random.integers(2, 5)), shade, -1, cv2.LINE_AA)
    return _shrink(page)


def drawing(random: np.random.Generator) -> Picture:
    """Strokes, shapes, figures, and cartoons of a rib cage or of lungs."""
    paper = random.uniform(200, 255) if random.random() < 0.7 else random.uniform(0, 60)
    ink = 255 - paper if random.random() < 0.6 else random.uniform(0, 255)
    page = np.full((_SIDE, _SIDE), paper, np.uint8)
    kind = random.random()
    if kind < 0.2:
        _ribs(page, ink, random)
    elif kind < 0.35:
        _lungs(page, ink, random)
    else:
        for _ in range(int(random.integers(1, 14))):
            _shape(page, ink if random.random() < 0.7 else random.uniform(0, 255), random)
    return _shrink(page)


def _shape(page: Picture, ink: float, random: np.random.Generator) -> None:
    thickness = int(random.choice([1, 2, 3, 6, -1]))
    centre = [int(v) for v in random.integers(0, _SIDE, 2)]
    size = [int(v) for v in random.integers(4, _SIDE // 2, 2)]
    kind = random.integers(5)
    if kind == 0:
        turn = float(random.uniform(0, 180))
        cv2.ellipse(page, centre, size, turn, 0, 360, ink, thickness, cv2.LINE_AA)
    elif kind == 1:
        end = [centre[0] + size[0], centre[1] + size[1]]
        cv2.rectangle(page, centre, end, ink, thickness)
    elif kind == 2:  # a stroke of the pen
        steps = np.cumsum(np.cumsum(random.normal(0, 1.2, (60, 2)), 0), 0) + centre
        cv2.polylines(page, [steps.astype(np.int32)], False, ink, abs(thickness), cv2.LINE_AA)
    elif kind == 3:  # a figure: head, trunk, limbs
        head = max(size[0] // 6, 4)
        x, y = centre
        cv2.circle(page, (x, y), head, ink, 2, cv2.LINE_AA)
        cv2.line(page, (x, y + head), (x, y + 4 * head), ink, 2, cv2.LINE_AA)
        for sign in (-1, 1):
            cv2.line(page, (x, y + 2 * head), (x + sign * 2 * head, y + head), ink, 2, cv2.LINE_AA)
            foot = (x + sign * 2 * head, y + 7 * head)
            cv2.line(page, (x, y + 4 * head), foot, ink, 2, cv2.LINE_AA)
    else:
        _text(page, (centre[0], centre[1]), float(random.uniform(0.5, 2.5)), ink, 8, random)


def _ribs(page: Picture, ink: float, random: np.random.Generator) -> None:
    middle, width = _SIDE // 2, int(random.integers(50, 110))
    thickness = int(random.integers(1, 6))
    cv2.line(page, (middle, 20), (middle, _SIDE - 20), ink, thickness + 3, cv2.LINE_AA)
    count = int(random.integers(5, 12))
    for number in range(count):
        y = 35 + number * (_SIDE - 80) // count
        reach = int(width * np.sin(np.pi * (number + 2) / (count + 3)))
        for start, end in ((180, 340), (200, 360)):
            shift = -reach if start == 180 else reach
            axes = (abs(reach) + 1, int(random.integers(8, 20)))
            cv2.ellipse(page, (middle + shift, y), axes, 0, start, end, ink, thickness, cv2.LINE_AA)


def _lungs(page: Picture, ink: float, random: np.random.Generator) -> None:
    middle, thickness = _SIDE // 2, int(random.choice([2, 4, -1]))
    width, height = int(random.integers(25, 50)), int(random.integers(60, 100))
    for sign in (-1, 1):
        centre = (middle + sign * (width + 12), _SIDE // 2)
        cv2.ellipse(page, centre, (width, height), sign * 8, 0, 360, ink, thickness, cv2.LINE_AA)
        cv2.line(page, (middle, 70), (middle + sign * 25, 105), ink, 4, cv2.LINE_AA)
    cv2.line(page, (middle, 15), (middle, 70), ink, 6, cv2.LINE_AA)


def _table(page: Picture, corner: tuple[int, int], ink: float, random: np.random.Generator) -> None:
    columns, (x, y) = int(random.integers(2, 6)), corner
    for row in range(5):
        cv2.line(page, (x, y + 12 * row), (_SIDE - x, y + 12 * row), ink, 1)
    for column in range(columns + 1):
        place = x + column * (_SIDE - 2 * x) // columns
        cv2.line(page, (place, y), (place, y + 48), ink, 1)
        for row in range(4):
            _text(page, (place + 2, y + 12 * row + 10), 0.25, ink, 4, random)


def _text(
    page: Picture,
    where: tuple[int, int],
    size: float,
    ink: float,
    length: int,
    random: np.random.Generator,
) -> None:
    words = "".join(random.choice(_LETTERS, length))
    font = int(random.integers(0, 5))
    cv2.putText(page, words, where, font, size, float(ink), 1, cv2.LINE_AA)


def _shrink(page: Picture) -> Picture:
    size = (WORKING_SIDE, WORKING_SIDE)
    return np.asarray(cv2.resize(page, size, interpolation=cv2.INTER_AREA), np.uint8)
