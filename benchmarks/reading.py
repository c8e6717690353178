"""Where the time of a reading goes: decode, preprocess, network, heatmap; one thread.

    python benchmarks/reading.py [FILM]

Prints milliseconds (median of 100) and their share. Without a film it takes the sample
radiograph of pydicom-data, re-encoded as a 2048² JPEG, a 1024² PNG, a 224² JPEG and the
16-bit DICOM that it is.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from _films import encodings  # noqa: E402

from app.sample import sample_path  # noqa: E402
from cxr.bundle import load_bundle  # noqa: E402
from cxr.decode import decode  # noqa: E402
from cxr.explain import infection_activation, overlay_png  # noqa: E402
from cxr.preprocess import to_model_input  # noqa: E402

ROUNDS = 100


def median_ms(work: Callable[[], object]) -> float:
    """Median time of one call, in milliseconds, after a warm-up."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else sample_path()
    if path is None:
        sys.exit("No film: install pydicom-data or name a file.")
    bundle = load_bundle(ROOT / "models" / "covid19-radiography")
    reduce_to = bundle.spec.reduce_to
    print(
        f"{'input':12s} {'KB':>7s} {'decode':>8s} {'prepare':>8s} {'network':>8s} {'overlay':>8s}"
    )
    given = path.read_bytes()
    for name, data in {"as it is": given, **{f.name: f.data for f in encodings(given)}}.items():
        film = decode(data, reduce_to=reduce_to)
        image = to_model_input(film, bundle.spec)[np.newaxis]
        prediction = bundle.predict(image)
        activation = infection_activation(
            prediction.activation_maps[0], prediction.probabilities[0], bundle.classes
        )
        figures = [
            median_ms(lambda data=data: decode(data, reduce_to=reduce_to)),
            median_ms(lambda film=film: to_model_input(film, bundle.spec)),
            median_ms(lambda image=image: bundle.predict(image)),
            median_ms(lambda film=film, heat=activation: overlay_png(film, heat)),
        ]
        cells = " ".join(f"{figure:6.2f}ms" for figure in figures)
        print(f"{name:12s} {len(data) / 1024:7.0f} {cells}")


if __name__ == "__main__":
    main()
