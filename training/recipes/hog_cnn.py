"""HOG features beside a CNN on films without marks and borders.

    python -m training fit hog_cnn --data chest-xray-pneumonia.zip --out models/hog-cnn
    python -m training crossvalidate hog_cnn --data chest-xray-pneumonia.zip

224 × 224; burnt-in marks and black borders are removed, for training and serving alike;
rotation, shear and flip; Adam (``optimizer="rmsprop"`` for the other). The published system
claims early detection of pneumonia, cross-validated, without a figure. Reached here on the
official 624 test films: 81.2 % accuracy (``docs/results.md``).
"""

from dataclasses import replace

from cxr.preprocess import PreprocessSpec
from training.architectures import HogNetwork
from training.augment import NO_AUGMENTATION
from training.recipe import Recipe, Stage
from training.search import Choice, Range, Search

RECIPE = Recipe(
    preprocess=PreprocessSpec(size=224, remove_artefacts=True),
    network=HogNetwork(),
    stages=(
        Stage(
            epochs=12,
            learning_rate=1e-3,
            augmentation=replace(NO_AUGMENTATION, flip=True, rotation=10.0, shear=0.1),
        ),
    ),
    optimizer="adam",
    weight_decay=0.0,
    label_smoothing=0.0,
    batch_size=32,
    patience=5,
    merge_infected=True,
)

SEARCH: Search = (
    Range("stages.learning_rate", 2e-4, 3e-3, log=True),
    Range("network.dropout", 0.1, 0.6),
    Choice("network.hog_dense", (32, 64, 128)),
    Choice("optimizer", ("adam", "rmsprop")),
)
