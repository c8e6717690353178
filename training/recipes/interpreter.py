"""Normal against infected with anything, by a CNN from scratch on enhanced films.

    python -m training fit interpreter --data covid19-radiography-database.zip \
        --out models/interpreter
    python -m training fit interpreter --masks --data … --out …   (lungs only)

Every class of the COVID-19 Radiography Database but Normal counts as infected. Films are
enhanced: CLAHE (``clahe_clip``, 0 switches it off) and non-local means (``denoise``, 0
likewise). The published X-Ray Result Interpreter claims 87 % accuracy. Reached here, on data
without Lung_Opacity: 93.9 % (``docs/results.md``).
"""

from dataclasses import replace

from cxr.preprocess import PreprocessSpec
from training.architectures import PlainNetwork
from training.augment import NO_AUGMENTATION
from training.recipe import Recipe, Stage
from training.search import Choice, Range, Search

RECIPE = Recipe(
    preprocess=PreprocessSpec(size=128, clahe_clip=2.0, denoise=3.0),
    network=PlainNetwork(filters=(32, 64, 128, 128), dense=(128,), dropout=0.4),
    stages=(
        Stage(
            epochs=15,
            learning_rate=1e-3,
            augmentation=replace(NO_AUGMENTATION, flip=True, rotation=8.0, zoom=0.1, shift=0.05),
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
    Choice("network.filters", ((16, 32, 64), (32, 64, 128), (32, 64, 128, 128))),
    Range("class_balance", 0.0, 1.0),
)
