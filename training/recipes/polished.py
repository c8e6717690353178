"""The flagship for a larger set: fewer epochs, then four on nearly plain films.

    python -m training fit polished --data covid19-radiography-database.zip \
        --out models/covid19-radiography

For data whose films to be read come from the machines of the training set. The scores that
it reached stand, with their intervals, in ``models/covid19-radiography/CARD.md``.
"""

from dataclasses import replace

from training.recipe import Polish
from training.recipes import residual

RECIPE = replace(residual.RECIPE, epochs=14, polish=Polish())
