"""Decoding a whole data set once, and feeding it to the flagship.

    XRAY_DATA=folder-with-the-zips [BATCHES=60] python benchmarks/input_pipeline.py

Prints how long the COVID-19 zip takes to be decoded, hashed and cached, how many films a
second the batches feed (shrinking and mixup included) against how many the flagship trains
on, and the peak of resident memory while it trains.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parents[1]))

from training.data import prepare  # noqa: E402
from training.layout import COVID_ZIP  # noqa: E402
from training.recipe import load_recipe  # noqa: E402

BATCHES = int(os.environ.get("BATCHES", "60"))


def main() -> None:
    data = Path(os.environ.get("XRAY_DATA", "../shared/data")) / COVID_ZIP
    if not data.exists():
        print(f"{data} is not there: set XRAY_DATA to the folder that holds it.")
        return
    recipe = load_recipe("adult")
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as cache:
        began = time.perf_counter()
        prepared = prepare(data, recipe.preprocess, Path(cache))
        seconds = time.perf_counter() - began
        films = len(prepared.images)
        print(f"decoded and cached {films:,} films in {seconds:.1f} s ({films / seconds:.0f}/s)")

        from training.device import use_device  # not before: importing TensorFlow takes seconds
        from training.loop import Batches, compiled

        use_device()
        rows = prepared.indices("train")
        for stage in dict.fromkeys(recipe.stages):
            size = stage.size or recipe.preprocess.size
            batches = Batches(prepared.images, prepared.labels, rows, 3, recipe, stage, 0)
            count = min(BATCHES, len(batches))
            began = time.perf_counter()
            for number in range(count):
                batches[number]
            fed = count * recipe.batch_size / (time.perf_counter() - began)

            model = compiled(recipe, stage, prepared.infected, len(batches), 0)[0]
            model.train_on_batch(*batches[0])  # compiles
            ready = [batches[number] for number in range(count)]
            began = time.perf_counter()
            for images, targets in ready:
                model.train_on_batch(images, targets)
            trained = count * recipe.batch_size / (time.perf_counter() - began)
            print(
                f"{size} × {size} pixels: fed {fed:.0f} films/s, the flagship trains on "
                f"{trained:.0f}: {fed / trained:.1f} times as many"
            )
    unit = 2**30 if sys.platform == "darwin" else 2**20  # bytes there, kilobytes elsewhere
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print(f"peak of resident memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
