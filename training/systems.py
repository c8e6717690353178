"""The known systems: what each claimed, and how it is run here."""

from __future__ import annotations

from dataclasses import dataclass

from training.layout import COVID_ZIP, KERMANY_ZIP


@dataclass(frozen=True)
class System:
    """One published system, or one way to run it.

    Attributes:
        claim: what its authors report; empty for a run that explains another.
        archive: the data set, by the name of its zip.
        leaky: split film by film at random, patients and official test set ignored, as many
            published figures were; its figure says what such a split is worth.
        epochs: instead of the recipe's, where its own do not fit a processor without a GPU.
        bundle: a shipped model of just this recipe and data, asked instead of trained again.
        why: why measured and claimed figures differ, where something is known about it.
    """

    name: str
    recipe: str
    archive: str
    claim: str = ""
    augmentation: bool = True
    leaky: bool = False
    flagship: bool = False
    weights: str | None = None
    epochs: int | None = None
    bundle: str = ""
    why: str = ""


_LEAKY = (
    "Split film by film at random: films of one patient are on both sides, and the official "
    "test films are mixed in. Not comparable with the row above; it shows what such a split adds."
)

SYSTEMS = (
    System(
        "residual",
        "residual",
        KERMANY_ZIP,
        "above them all",
        flagship=True,
        bundle="models/pediatric-pneumonia",
    ),
    System(
        "single_conv-plain",
        "single_conv",
        KERMANY_ZIP,
        "72.4 % accuracy on the official 624",
        augmentation=False,
        why=(
            "Like the claim. It learns its training films by heart, and calls two of three normals "
            "of the official test infected: the shift that experiments.md is about."
        ),
    ),
    System(
        "single_conv",
        "single_conv",
        KERMANY_ZIP,
        "87.3 % accuracy, 87 % sensitivity on the official 624",
        why=(
            "A little above the claim: here the epoch of least validation loss is kept, and its "
            "probabilities are calibrated before they are cut at 0.5."
        ),
    ),
    System("single_conv-leaky", "single_conv", KERMANY_ZIP, leaky=True, why=_LEAKY),
    System(
        "rgb156",
        "rgb156",
        KERMANY_ZIP,
        "precision > 92 %, recall > 95 %, accuracy 90 to 96 %",
        why=(
            "Recall as claimed; precision and accuracy fall short on the official test films, "
            "whose normals look unlike those of the training folder. Under the next row's split "
            "precision and accuracy come out as claimed."
        ),
    ),
    System("rgb156-leaky", "rgb156", KERMANY_ZIP, leaky=True, why=_LEAKY),
    System(
        "hog_cnn",
        "hog_cnn",
        KERMANY_ZIP,
        "early detection of pneumonia, cross-validated; no figure given",
        why="Nothing to compare with. It calls half of the official test's normals infected.",
    ),
    System(
        "adult",
        "adult",
        COVID_ZIP,
        "above them all",
        flagship=True,
        bundle="models/covid19-radiography",
    ),
    System(
        "interpreter",
        "interpreter",
        COVID_ZIP,
        "87 % accuracy, normal against infected",
        why=(
            "Above the claim, on an easier task: the data at hand have no Lung_Opacity, more than "
            "half of the infected films of the whole database."
        ),
    ),
    System(
        "densenet169-scratch",
        "densenet169",
        COVID_ZIP,
        "96.27 % accuracy over four classes, from ImageNet weights",
        weights="none",
        epochs=1,
        why=(
            "From nothing and for 1 epoch, so far from done: no ImageNet weights were at hand, "
            "and 100 epochs do not fit two cores. The data at hand have three of the four classes."
        ),
    ),
)
