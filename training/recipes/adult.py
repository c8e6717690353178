"""The flagship for a larger set: most epochs on small films, the last ones nearly plain.

    python -m training fit adult --data covid19-radiography-database.zip \
        --out models/covid19-radiography

For data whose films to be read come from the machines of the training set. The scores that
it reached stand, with their intervals, in ``models/covid19-radiography/CARD.md``.
"""

from training.augment import Augmentation
from training.recipe import Recipe, Stage

MILD = Augmentation(
    rotation=8.0,
    zoom=0.12,
    shift=0.06,
    shear=0.05,
    gamma=0.3,
    contrast=0.2,
    brightness=0.08,
    blur=0.15,
    noise=0.02,
    erase=0.15,
)

RECIPE = Recipe(
    stages=(
        Stage(epochs=26, size=112, augmentation=MILD),
        Stage(epochs=6, learning_rate=5e-4, augmentation=MILD),
    )
)
