"""The flagship: a normaliser-free residual CNN, from nothing.

    python -m training fit residual --data chest-xray-pneumonia.zip --out models/pediatric-pneumonia

The lungs are found first, and nothing but a box around them is read, turned upright
(``training/architectures/centre.py``). Two networks share the work: one reads the film, the other
its mirror image. Most epochs see small films, and the learning rate falls once over all of them.
Augmentation stays strong to the end, because the films that it is tested on come from
elsewhere than those that it learns from. Some films have their lungs blanked, some have nothing
else left, where there are lung masks to find them by (``training/blanking.py``). Reached on the
official 624 test films: accuracy 96.2 %, AUC 0.991 (``docs/results.md``;
``models/pediatric-pneumonia/CARD.md`` has the intervals).
"""

from cxr.preprocess import PreprocessSpec
from training.architectures import ResidualNetwork
from training.augment import Augmentation
from training.recipe import Recipe, Stage
from training.search import Choice, Range, Search

STRONG = Augmentation(border=0.3, lungs_out=0.1, lungs_only=0.15)

RECIPE = Recipe(
    preprocess=PreprocessSpec(size=224),
    network=ResidualNetwork(view=5 / 7, upright=True, softness=1.6, mirrored=True),
    members=2,
    optimizer="muon",
    batch_size=32,
    keep="last",
    stressed_tone=0.5,
    stages=(
        Stage(
            epochs=20,
            size=136,
            learning_rate=4e-3,
            final_learning_rate=2.2e-3,
            warmup_epochs=0.5,
            augmentation=STRONG,
        ),
        Stage(
            epochs=8,
            size=180,
            learning_rate=2.2e-3,
            final_learning_rate=7e-4,
            warmup_epochs=0.2,
            augmentation=STRONG,
        ),
        Stage(epochs=6, learning_rate=7e-4, warmup_epochs=0.2, augmentation=STRONG),
    ),
)

SEARCH: Search = (
    Range("stages.learning_rate", 3e-4, 4e-3, log=True),
    Range("weight_decay", 0.005, 0.2, log=True),
    Range("label_smoothing", 0.0, 0.15),
    Range("class_balance", 0.0, 1.0),
    Range("network.dropout", 0.0, 0.5),
    Range("stages.augmentation.gamma", 0.0, 0.9),
    Range("stages.augmentation.tone", 0.0, 0.9),
    Range("stages.augmentation.erase", 0.0, 0.5),
    Choice("stages.augmentation.mixup", (0.0, 0.2, 0.4)),
)
