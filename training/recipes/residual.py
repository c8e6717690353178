"""The flagship: a normaliser-free residual CNN, from nothing.

    python -m training fit residual --data chest-xray-pneumonia.zip --out models/pediatric-pneumonia

Most of its epochs see small films. Augmentation stays strong to the end, because the films
that it is tested on come from elsewhere than those that it learns from. The scores that it
reached stand, with their intervals, in ``models/pediatric-pneumonia/CARD.md``.
"""

from training.augment import Augmentation
from training.recipe import Recipe, Stage

STRONG = Augmentation(gamma=0.5, tone=0.5)

RECIPE = Recipe(
    stages=(
        Stage(epochs=20, size=112, augmentation=STRONG),
        Stage(epochs=6, learning_rate=5e-4, augmentation=STRONG),
    )
)
