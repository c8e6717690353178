"""What a JPEG that is decoded at reduced scale changes in a reading, for both shipped models.

    XRAY_DATA=folder-with-the-zips python benchmarks/reduced_decode.py [--films 60]

Enlarges test films (evenly spread over the test split of each model's own zip) to 2048 × 1792
pixels, encodes them as JPEG of quality 95, and reads each twice: decoded whole, and at the scale
that the service decodes it at (``PreprocessSpec.reduce_to``). Prints the largest and the 95th
percentile of the changes in the probability of infection, and how many decisions changed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import cv2  # noqa: E402
import numpy as np  # noqa: E402

from cxr.bundle import Bundle, load_bundle  # noqa: E402
from cxr.decode import decode  # noqa: E402
from cxr.preprocess import to_model_input  # noqa: E402
from training.data import Dataset  # noqa: E402
from training.evaluate import prepare_as_trained  # noqa: E402
from training.layout import COVID_ZIP, KERMANY_ZIP  # noqa: E402

ZIPS = {
    "pediatric-pneumonia": KERMANY_ZIP,
    "covid19-radiography": COVID_ZIP,
}
WIDTH, HEIGHT, QUALITY = 2048, 1792, 95


def enlarged(film: bytes) -> bytes:
    """The film as a large JPEG."""
    pixels = cv2.resize(decode(film).pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return encoded.tobytes()


def infection(bundle: Bundle, film: bytes, reduce_to: int | None) -> float:
    """Calibrated probability."""
    image = to_model_input(decode(film, reduce_to=reduce_to), bundle.spec)
    probabilities = bundle.predict(image[np.newaxis]).probabilities
    return float(bundle.infection_probability(probabilities)[0])


def measure(bundle: Bundle, dataset: Dataset, count: int) -> str:
    """One row of the table."""
    records = dataset.of_split("test")
    moved, changed, scale = [], 0, 1.0
    for number in np.linspace(0, len(records) - 1, min(count, len(records))).astype(int):
        film = enlarged(dataset.open(records[number]))
        scale = decode(film, reduce_to=bundle.spec.reduce_to).pixels.shape[1] / WIDTH
        whole, reduced = (
            infection(bundle, film, reduce_to) for reduce_to in (None, bundle.spec.reduce_to)
        )
        moved.append(abs(whole - reduced))
        changed += bundle.thresholds.decide(whole) != bundle.thresholds.decide(reduced)
    return (
        f"| `{bundle.name}` | {len(moved)} | {scale:g} | {max(moved):.4f} "
        f"| {np.percentile(moved, 95):.4f} | {changed} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=60, help="of each zip")
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="decoded films")
    given = parser.parse_args()
    folder = Path(os.environ.get("XRAY_DATA", "../shared/data"))
    rows = []
    for name, file in ZIPS.items():
        if not (folder / file).exists():
            print(f"{folder / file} is not there: set XRAY_DATA to the folder that holds it.")
            continue
        bundle = load_bundle(ROOT / "models" / name)
        dataset = prepare_as_trained(bundle, folder / file, given.cache).dataset
        rows.append(measure(bundle, dataset, given.films))
    if rows:
        print(f"JPEG of {WIDTH} × {HEIGHT} pixels, decoded whole and at reduced scale")
        print("| model | films | scale | largest change | 95 % below | decisions changed |")
        print("|---|---|---|---|---|---|")
        print("\n".join(rows))


if __name__ == "__main__":
    main()
