"""What a card says of a bundle that was calibrated anew, on another hospital's films."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.card_tables import CALIBRATION, DECISIONS, FIGURES, cell, table


def population(share: float) -> str:
    """A share of infected films, in words: ``10 %``."""
    return f"{100 * share:.3g} %"


def recalibrated_section(document: Mapping[str, Any]) -> list[str]:
    """Whose films chose calibration and thresholds, and what that changed; else nothing.

    Args:
        document: ``bundle.json``.
    """
    again = document.get("recalibrated")
    if again is None:
        return []
    origin, data = again["from"], again["data"]
    counts: Mapping[str, Mapping[str, int]] = data["radiographs"]
    after = document["metrics"]["test"]["figures"]
    return [
        "## Calibrated for another hospital",
        f"The weights are those of `{origin['name']}` {origin['version']}; films of "
        f"`{data['name']}` chose calibration and thresholds anew. All figures below but the "
        "audit's are of these films: half of the patients chose (*validation*), the other half "
        f"judges (*test*). Data hash `{data['sha256'][:16]}`. Both columns are for a "
        f"population of which {population(again['prevalence'])} is infected: infected and normal "
        "films weigh by that.",
        table(
            ["Films", *next(iter(counts.values())), "Patients or groups"],
            [
                [split, *map(str, of_class.values()), str(data["patients"][split])]
                for split, of_class in counts.items()
            ],
        ),
        table(
            ["Figure, test films", f"calibrated as in {origin['version']}", "anew"],
            [
                [title, cell(name, again["before"].get(name)), cell(name, after.get(name))]
                for name, title in {**FIGURES, **CALIBRATION, **DECISIONS}.items()
                if name in after
            ],
        ),
    ]
