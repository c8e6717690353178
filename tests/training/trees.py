"""Small data sets of synthetic radiographs, laid out as the real ones are."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from tests.phantoms import encode_jpeg

COVID_FOLDERS = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")


@cache
def picture(seed: int) -> bytes:
    """A JPEG unlike that of any other seed, even to a perceptual hash; 96 × 96."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12), np.uint8)
    return encode_jpeg(cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC))


def kermany_names() -> list[str]:
    """Train: 20 people of each class with one to three images; test: 4 of each; val: 1."""
    return [
        f"chest_xray/{split}/{name}"
        for split, people in (("train", 20), ("test", 4), ("val", 1))
        for person in range(1, people + 1)
        for image in range(person % 3 + 1)
        for name in (
            f"PNEUMONIA/person{person}_bacteria_{image}.jpeg",
            f"PNEUMONIA/person{person}_virus_{image}.jpeg",
            f"NORMAL/IM-{len(split)}{person:03}-{image:04}.jpeg",
        )
    ]


def kermany_files() -> dict[str, bytes]:
    """A picture for each name."""
    return {name: picture(seed) for seed, name in enumerate(kermany_names())}


def covid_names(classes: tuple[str, ...] = COVID_FOLDERS, each: int = 20) -> list[str]:
    """``each`` images of each class in ``images/``."""
    return [
        f"COVID-19_Radiography_Dataset/{name}/images/{name}-{number}.png"
        for name in classes
        for number in range(1, each + 1)
    ]


def covid_files(classes: tuple[str, ...] = COVID_FOLDERS, each: int = 20) -> dict[str, bytes]:
    """A picture for each name, with a mask beside each."""
    files: dict[str, bytes] = {}
    for name in covid_names(classes, each):
        content = picture(1000 + len(files))
        files[name] = content
        files[name.replace("/images/", "/masks/")] = content
    return files


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path
