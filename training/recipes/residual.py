"""The flagship: a normaliser-free residual CNN, from nothing.

    python -m training fit residual --data chest-xray-pneumonia.zip --out models/pediatric-pneumonia
    python -m training fit residual --data covid19-radiography-database.zip \
        --out models/covid19-radiography

The scores that it reached stand, with their intervals, in ``models/*/CARD.md``.
"""

from training.recipe import Recipe

RECIPE = Recipe()
