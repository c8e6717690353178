"""Pneumonia CNN on 156 × 156 RGB films rescaled to 0–1.

    python -m training fit rgb156 --data chest-xray-pneumonia.zip --out models/rgb156

The published system claims precision above 92 %, recall above 95 % and accuracy of 90 to
96 %. Reached here on the official 624 test films: precision 84.3 %, recall 96.2 %, accuracy
86.4 % (``docs/results.md``, with what a leaky split makes of it).
"""

from dataclasses import replace

from cxr.preprocess import PreprocessSpec
from training.architectures import PlainNetwork
from training.augment import NO_AUGMENTATION
from training.recipe import Recipe, Stage
from training.search import Choice, Range, Search

RECIPE = Recipe(
    preprocess=PreprocessSpec(size=156, low_percentile=0.0, high_percentile=100.0),
    network=PlainNetwork(filters=(32, 64, 128, 128), dense=(256,), dropout=0.5, rgb=True),
    stages=(
        Stage(
            epochs=20,
            learning_rate=5e-4,
            augmentation=replace(
                NO_AUGMENTATION, flip=True, rotation=10.0, zoom=0.1, shift=0.1, brightness=0.1
            ),
        ),
    ),
    optimizer="adam",
    weight_decay=0.0,
    label_smoothing=0.0,
    batch_size=32,
    patience=6,
    merge_infected=True,
)

SEARCH: Search = (
    Range("stages.learning_rate", 1e-4, 2e-3, log=True),
    Range("network.dropout", 0.1, 0.6),
    Choice("network.dense", ((128,), (256,), (512,))),
    Range("class_balance", 0.0, 1.0),
)
