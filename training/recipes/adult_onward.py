"""The adults' flagship goes on: opacities in its own normal films, and half of the way back.

    python -m training fit adult_onward --weights models/covid19-radiography \\
        --data covid19-radiography-database.zip \\
        --companion chest-xray-pneumonia.zip --normals lung-masks.zip --out models/mine

At home every class has hospitals of its own, so a network is rewarded for knowing the hospital. An
opacity drawn into a normal film (``training/opacity.py``) makes an infected one of the same
hospital. Three trainings go on from the bundle's weights with such films, and what is exported lies
halfway between these weights and the mean of the three (``training/onward.py``): nearly as good at
home, better elsewhere (``docs/experiments.md``).
"""

from dataclasses import replace

from training.architectures import ResidualNetwork
from training.recipe import Recipe, Stage
from training.recipes.adult import GENTLE
from training.recipes.adult import RECIPE as ADULT

# Half of the way to gentler films lost its decisions under blur and noise; with these it keeps them.
AUGMENTATION = replace(GENTLE, rotation=12.0, zoom=0.12, blur=0.2, noise=0.02, opacity=0.1)

RECIPE: Recipe = replace(
    ADULT,
    # The finder of the bundle that it goes on from, 1.7.0.
    network=ResidualNetwork(
        view=5 / 7, upright=True, mirrored=True, finder=((16, 2), (32, 2), (48, 2), (64, 2))
    ),
    stages=(
        Stage(
            epochs=8,
            learning_rate=5e-4,
            warmup_epochs=0.1,
            augmentation=AUGMENTATION,
            companions=1 / 32,
        ),
    ),
    onward=0.5,
    averaged=3,
)
