"""Normal films of a source that no figure of the data set speaks of: does the model over-call?

A model whose normal films all come from a few hospitals may take another hospital's look for a
disease. The quarter of the films that is read here was shown to no network in training
(``training.companion.held_out``); where the bundle says that normal films of this source joined
its training, the other three quarters of the source were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cxr.bundle import Bundle
from training.audit.films import read_inputs
from training.companion import held_out
from training.errors import DataError
from training.source import Source
from training.statistics import wilson

#: Fewer say nothing.
_FEWEST = 20


def normals_elsewhere(bundle: Bundle, data: Path) -> dict[str, Any]:
    """How a bundle calls the held-out quarter of a source's films, all of them normal.

    Returns:
        ``films``; ``decisions`` (how many are called normal, uncertain, infected); and, with 95 %
        intervals (Wilson), ``over_called``, the share from a probability of infection of 0.5 on,
        and ``decided_infected``, the share at or above rule-in. ``trained_on`` says whether
        others of the source were in the training.

    Raises:
        DataError: fewer than 20 films.
    """
    with Source(data) as source:
        paths = list(filter(held_out, source.masked))
        _, inputs = read_inputs(source, paths, bundle.spec)
    if len(inputs) < _FEWEST:
        raise DataError(
            f"{data} holds {len(inputs)} films that are held out; at least {_FEWEST} are needed. "
            "Films are images/NAME with a masks/NAME, and a quarter of them is held out."
        )
    probabilities = bundle.predict(inputs).probabilities
    infection = bundle.infection_probability(probabilities)
    low, high = bundle.thresholds.rule_out, bundle.thresholds.rule_in
    decided = infection >= high
    companions = bundle.document["training"]["data"].get("companions", ())
    return {
        "name": data.name,
        "films": len(inputs),
        "trained_on": any(one["name"] == data.name for one in companions),
        "decisions": {
            "normal": int((infection < low).sum()),
            "uncertain": int(((infection >= low) & ~decided).sum()),
            "infected": int(decided.sum()),
        },
        "over_called": wilson(int((infection >= 0.5).sum()), len(inputs)),
        "decided_infected": wilson(int(decided.sum()), len(inputs)),
    }
