"""The findings that the data sets and the bundles speak of, in their canonical order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FindingClass:
    """One output class of a model.

    Attributes:
        id: stable identifier, lower case with underscores; used in files.
        label: the words shown to people.
        infected: whether the class counts towards the probability of infection.
    """

    id: str
    label: str
    infected: bool


NORMAL = FindingClass("normal", "Normal", infected=False)
BACTERIAL_PNEUMONIA = FindingClass("bacterial_pneumonia", "Bacterial pneumonia", infected=True)
COVID_19 = FindingClass("covid_19", "COVID-19", infected=True)
VIRAL_PNEUMONIA = FindingClass("viral_pneumonia", "Viral pneumonia", infected=True)
LUNG_OPACITY = FindingClass("lung_opacity", "Lung opacity", infected=True)

#: Normal first. COVID-19 stands before viral pneumonia, as the bundles list them.
CANONICAL_FINDINGS = (
    NORMAL,
    BACTERIAL_PNEUMONIA,
    COVID_19,
    VIRAL_PNEUMONIA,
    LUNG_OPACITY,
)
