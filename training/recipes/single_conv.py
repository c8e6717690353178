"""One convolution, max pooling, two dense layers: the small CNN of many tutorials.

    python -m training fit single_conv --data chest-xray-pneumonia.zip --out models/single-conv
    python -m training fit single_conv --no-augmentation --data … --out …

The published system claims 72.4 % accuracy on the official 624 test films without
augmentation, and 87.3 % (sensitivity 87 %) with it. Reached here on the same films: 75.8 %
without, 89.7 % with it (``docs/results.md``).
"""

from dataclasses import replace

from cxr.preprocess import PreprocessSpec
from training.architectures import PlainNetwork
from training.augment import NO_AUGMENTATION
from training.recipe import Recipe, Stage
from training.search import Choice, Range, Search

RECIPE = Recipe(
    preprocess=PreprocessSpec(size=64, low_percentile=0.0, high_percentile=100.0),
    network=PlainNetwork(filters=(32,), dense=(128,)),
    stages=(
        Stage(
            epochs=25,
            learning_rate=1e-3,
            augmentation=replace(NO_AUGMENTATION, flip=True, rotation=10.0, zoom=0.2, shear=0.2),
        ),
    ),
    optimizer="adam",
    weight_decay=0.0,
    gradient_clip=0.0,
    label_smoothing=0.0,
    class_balance=0.0,
    batch_size=32,
    patience=8,
    merge_infected=True,
)

SEARCH: Search = (
    Range("stages.learning_rate", 1e-4, 5e-3, log=True),
    Choice("network.filters", ((16,), (32,), (64,))),
    Choice("network.dense", ((64,), (128,), (256,))),
    Range("network.dropout", 0.0, 0.5),
)
