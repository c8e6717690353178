"""Real films from a modality through the node into a real archive, and back.

    python -m tests.pacs.journey [--films 300] [--side 512] [--sheet captures.png]

Makes proper CR and DX objects (MONOCHROME1 and 2, five transfer syntaxes, children and adults)
of radiographs in the zips of ``$XRAY_DATA``, sends them with DCMTK's storescu to a node with the
shipped bundles, which delivers to an Orthanc by C-STORE and STOW-RS. Then every study must hold
exactly its results; dciodvfy must find no error in any; Orthanc must render every capture; every
report must say what ``Predictor.read`` says of the same file. Prints what came back, and exits
with 1 where anything is wrong. ``--sheet`` draws some captures, as Orthanc renders them, on one
picture, to be looked at.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from app import create_app
from app.errors import NotReadyError
from app.predictor import Predictor
from cxr.errors import RadiographError
from tests.pacs.films import SYNTAXES, encode, film
from tests.pacs.orthanc import Orthanc, running_orthanc, storescu, validation_errors
from tests.pacs.test_round_trip import PROPOSE
from tests.real_data import data_folder
from tests.server import ROOT, free_port

#: Zip → age of its patients, where the file does not say.
ZIPS = {
    "chest-xray-pneumonia.zip": "004Y",
    "covid19-radiography-database.zip": "050Y",
    "nih-adult-external.zip": "050Y",
}
KINDS = {"SR": "report", "OT": "capture", "PR": "presentation"}
_PROBABILITY = "122157"
_GIVE_UP_SECONDS = 900.0


@dataclass(frozen=True)
class Traveller:
    """One film: where it comes from, its object, and its file."""

    origin: str
    study: str
    syntax: str
    path: Path


def travellers(folder: Path, films: int, side: int, chance: random.Random) -> list[Traveller]:
    """Films in turn from each zip, in turn of each kind and syntax."""
    made: list[Traveller] = []
    for place, (name, age) in enumerate(ZIPS.items()):
        with zipfile.ZipFile(data_folder() / name) as archive:
            pictures = [n for n in archive.namelist() if n.lower().endswith((".jpg", ".jpeg"))]
            number = films // len(ZIPS) + (place < films % len(ZIPS))
            for picture in chance.sample(pictures, number):
                index = len(made)
                dataset = film(
                    _pixels(archive.read(picture), side),
                    inverted=bool(index // len(SYNTAXES) % 2),
                    digital=bool(index % 2),
                    syntax=SYNTAXES[index % len(SYNTAXES)],
                    PatientAge=age,
                )
                path = folder / f"{index}.dcm"
                path.write_bytes(encode(dataset))
                syntax = dataset.file_meta.TransferSyntaxUID
                made.append(Traveller(name, str(dataset.StudyInstanceUID), syntax, path))
    return made


def _pixels(jpeg: bytes, side: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """A picture as 12 bits, enlarged so that its shorter side has so many pixels."""
    grey = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"))
    scale = max(side / min(grey.shape), 1.0)
    large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return large.astype(np.uint16) * 16


@contextmanager
def running_node(spool: Path, orthanc: Orthanc, log: Path) -> Iterator[int]:
    """The real node with the shipped bundles; its port."""
    port = free_port()
    environment = {
        "XRAY_PACS_SPOOL": str(spool),
        "XRAY_PACS_PORT": str(port),
        "XRAY_PACS_CALLERS": "CR1=127.0.0.1",
        "XRAY_PACS_METRICS_PORT": "0",
        "XRAY_PACS_MIN_FREE_BYTES": "0",
        "XRAY_PACS_DESTINATIONS": f"archive=dicom://ORTHANC@127.0.0.1:{orthanc.dicom},"
        f"web={orthanc.web}",
    }
    with log.open("wb") as sink:
        node = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "pacs-node"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield port
    finally:
        node.terminate()
        node.wait(timeout=60)


def send(port: int, films: list[Traveller]) -> None:
    """Send with storescu, one association for each syntax, once the node listens."""
    for syntax in SYNTAXES:
        paths = [each.path for each in films if each.syntax == syntax]
        end = time.monotonic() + 120
        while paths:
            sent = storescu(port, *paths, options=(PROPOSE[syntax],))
            if sent.returncode == 0:
                break
            # What has been taken already is taken once more, and makes no second result.
            assert time.monotonic() < end, sent.stderr[-2000:]
            time.sleep(1.0)


def wait_for_empty(spool: Path) -> None:
    """Everything has been delivered to every destination."""
    end = time.monotonic() + _GIVE_UP_SECONDS
    while any(path for name in ("received", "results") for path in (spool / name).iterdir()):
        assert time.monotonic() < end, "films stay in the spool"
        time.sleep(0.5)


def probability(report: Dataset) -> float | None:
    """The calibrated probability in a report; None where the film was refused."""
    for item in report.ContentSequence:
        if item.ConceptNameCodeSequence[0].get("CodeValue") == _PROBABILITY:
            return float(item.MeasuredValueSequence[0].NumericValue)
        if "ContentSequence" in item and (found := probability(item)) is not None:
            return found
    return None


def expected(predictor: Predictor, traveller: Traveller) -> float | None:
    """What ``Predictor.read`` says of the same file."""
    try:
        return predictor.read(traveller.path.read_bytes()).infection_probability
    except RadiographError:
        return None


def check(
    orthanc: Orthanc, films: list[Traveller], predictor: Predictor, folder: Path
) -> tuple[list[str], list[np.ndarray[Any, Any]]]:
    """What is wrong with what came back, and the captures as Orthanc renders them."""
    wrong, captures, results = [], [], Counter[str]()
    for traveller in films:
        found: dict[str, list[str]] = {}
        for name in orthanc.find(StudyInstanceUID=traveller.study):
            tags = orthanc.get(f"/instances/{name}/simplified-tags")
            found.setdefault(KINDS.get(tags["Modality"], tags["Modality"]), []).append(name)
        said = expected(predictor, traveller)
        kinds = ["report"] if said is None else ["capture", "presentation", "report"]
        if sorted(found) != kinds or any(len(names) != 1 for names in found.values()):
            wrong.append(f"{traveller.path.name}: came back as {found}")
            continue
        results.update([traveller.origin, *found, "read" if said is not None else "refused"])
        for kind, (name,) in found.items():
            data = bytes(orthanc.get(f"/instances/{name}/file"))
            wrong += [f"{kind}: {error}" for error in validation_errors(data, folder)]
            if kind == "report":
                reported = probability(dcmread(io.BytesIO(data)))
                if (reported is None) != (said is None) or abs(
                    (reported or 0) - (said or 0)
                ) > 1e-4:
                    wrong.append(f"{traveller.path.name}: {reported} reported, {said} read")
            if kind == "capture":
                preview = bytes(orthanc.get(f"/instances/{name}/preview"))
                shown = np.asarray(Image.open(io.BytesIO(preview)).convert("RGB"))
                if shown.shape[1] != 1024 or shown.std() < 10:
                    wrong.append(f"{traveller.path.name}: its capture is not shown")
                captures.append(shown)
    print(", ".join(f"{name}: {number}" for name, number in sorted(results.items())))
    return wrong, captures


def sheet(captures: list[np.ndarray[Any, Any]], path: Path, chance: random.Random) -> None:
    """Twelve captures on one picture."""
    chosen = chance.sample(captures, min(12, len(captures)))
    tiles = [cv2.resize(each, (512, 590), interpolation=cv2.INTER_AREA) for each in chosen]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 4)
    rows = [np.hstack(tiles[n : n + 4]) for n in range(0, len(tiles), 4)]
    Image.fromarray(np.vstack(rows)).save(path)


def travel(
    folder: Path, number: int, side: int, chance: random.Random
) -> tuple[list[str], list[np.ndarray[Any, Any]]]:
    """The whole journey: what is wrong, and the captures as Orthanc renders them."""
    registry = create_app().extensions["registry"]
    films = travellers(folder, number, side, chance)
    began = time.monotonic()
    with running_orthanc(folder / "orthanc", node_port=free_port()) as orthanc:
        with running_node(folder / "spool", orthanc, folder / "node.log") as port:
            send(port, films)
            wait_for_empty(folder / "spool")
        print(f"{number} films went and came back in {time.monotonic() - began:.0f} s")
        registry.start()
        wrong, captures = check(orthanc, films, _ready(registry), folder)
        surplus = orthanc.count() - number - 2 * len(captures)
    if surplus:
        wrong.append(f"{surplus} objects too many")
    return wrong, captures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--side", type=int, default=512, help="of the films' shorter side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="where to draw some captures")
    choice = parser.parse_args()
    chance = random.Random(choice.seed)
    with tempfile.TemporaryDirectory() as folder:
        wrong, captures = travel(Path(folder), choice.films, choice.side, chance)
    if choice.sheet and captures:
        sheet(captures, choice.sheet, chance)
    for line in wrong[:20]:
        print(line)
    print(f"{len(wrong)} things wrong" if wrong else "every film once, valid and as read")
    return 1 if wrong else 0


def _ready(registry: Any) -> Predictor:
    while True:
        try:
            predictor: Predictor = registry.predictor
            return predictor
        except NotReadyError:
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
