"""What a card says of the gate that stands before its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.card_tables import percent, table


def gate_section(gate: Mapping[str, Any] | None) -> list[str]:
    """What stands before the model; its own card says more.

    Args:
        gate: ``models/gate/gate.json``, where there is one.
    """
    if gate is None:
        return []
    rows = [
        [f"{films}, {condition}", f"{one['refused']} of {one['pictures']}", percent(one)]
        for films, conditions in gate["metrics"]["films"].items()
        for condition, one in conditions.items()
    ]
    rows += [
        [
            f"{origin} pictures of anything else, of kinds left out of its training",
            f"{other['refused']} of {other['pictures']}",
            percent(other),
        ]
        for origin, other in gate["metrics"]["left_out_total"].items()
    ]
    return [
        "## The gate",
        "Before this model reads a picture, a small network of its own refuses what is no upright "
        "frontal chest radiograph; `models/gate/CARD.md` says more.",
        table(["Pictures", "Refused", "Share"], rows),
    ]
