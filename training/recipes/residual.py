"""The flagship: a normaliser-free residual CNN, from nothing.

    python -m training fit residual --data chest-xray-pneumonia.zip --out models/pediatric-pneumonia

The scores that it reached stand, with their intervals, in
``models/pediatric-pneumonia/CARD.md``.
"""

from training.recipe import Recipe

RECIPE = Recipe()
