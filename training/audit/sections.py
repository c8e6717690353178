"""What was seen, as the sections of ``audit.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr.bundle import Bundle
from cxr.calibrate import Thresholds
from cxr.explain import infection_evidence
from cxr.preprocess import from_eight_bits
from training.audit.attention import DELETED, DRAWS, rank_correlation, similarity
from training.audit.changes import CHANGES
from training.audit.examine import Examined
from training.audit.leaks import can_be_told
from training.audit.network import Network
from training.audit.shortcuts import WORDS
from training.bootstrap import Weights, ratio, shares_with_intervals, with_intervals
from training.metrics import CUT, Answers, Ranking

#: Films and random networks of the weight-randomisation test.
SANITY_FILMS, SANITY_SEEDS = 48, 3


def robustness(
    changed: NDArray[np.float64], plain: Answers, thresholds: Thresholds, seed: int = 0
) -> list[dict[str, Any]]:
    """For each mild change: the share of decisions that stand, and of those that turn over."""

    def decide(infection: NDArray[np.float64]) -> NDArray[np.str_]:
        return np.array([thresholds.decide(p) for p in infection])

    before = decide(plain.infection)
    lines = []
    for number, change in enumerate(CHANGES):
        after = decide(changed[:, number])
        stands = after == before
        turned = ((before == "normal") & (after == "infected")) | (
            (before == "infected") & (after == "normal")
        )
        side = (changed[:, number] >= CUT) == plain.infected
        named = {"stands": stands, "turned_over": turned, "accuracy": side}
        figures = shares_with_intervals(named, plain.groups, seed)
        lines.append({"change": change.words, "family": change.family, **figures})
    return lines


def shortcut_pictures(
    seen: Examined, plain: Answers, network: Network, whole: NDArray[np.uint8], seed: int = 0
) -> list[dict[str, Any]]:
    """How well infection is still told from the whole film, and from what is left of it."""
    views = {"whole": (plain.infection, whole), **seen.pictures}
    lines = []
    for name, (infection, inputs) in views.items():
        ranking, right = Ranking(plain.infected, infection), (infection >= CUT) == plain.infected
        figures = {
            **with_intervals(_area(ranking), plain.groups, seed=seed),
            **shares_with_intervals({"accuracy": right}, plain.groups, seed),
        }
        relearned = can_be_told(network.pooled(inputs), plain.infected, plain.groups, seed)
        words = WORDS.get(name, "the whole film")
        lines.append({"picture": name, "words": words, **figures, "relearned_auc": relearned})
    return lines


def deletion(seen: Examined, plain: Answers, seed: int = 0) -> dict[str, Any] | None:
    """Mean fall of the probability of infection, by the map and at random."""
    if not seen.deletions:
        return None
    positions = np.array(sorted(seen.deletions))
    done = [seen.deletions[position] for position in positions]
    hot = np.array([one.whole - one.hottest for one in done])
    random = np.array([one.whole - one.random for one in done])
    drops = {"drop_hottest": hot, "drop_random": random, "difference": hot - random}
    lost = {
        "calls_lost_hottest": np.array([one.hottest < CUT for one in done]),
        "calls_lost_random": np.array([one.random < CUT for one in done]),
    }
    groups = plain.groups[positions]
    figures = {
        **with_intervals(_means(drops), groups, seed=seed),
        **shares_with_intervals(lost, groups, seed),
    }
    return {
        "films": len(positions),
        "deleted_share": DELETED,
        "random_draws": DRAWS,
        "figures": figures,
    }


def randomisation(
    bundle: Bundle, network: Network, images: NDArray[np.uint8], groups: NDArray[Any], seed: int = 0
) -> dict[str, Any] | None:
    """How much of the infection map is left when the weights are replaced, step by step."""
    if not len(images):
        return None
    predicted = bundle.predict(from_eight_bits(images[..., np.newaxis]))

    def evidence(maps: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        pairs = zip(maps, predicted.probabilities, strict=True)
        return [infection_evidence(each, p, bundle.classes) for each, p in pairs]

    def to_unit(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return (values - values.min()) / (float(np.ptp(values)) or 1.0)

    before = evidence(network.maps(images))
    collected: dict[tuple[int, str], list[NDArray[np.float64]]] = {}
    for number in range(SANITY_SEEDS):
        for name, layers in network.randomised(seed + number):
            after = evidence(network.maps(images))
            pairs = list(zip(before, after, strict=True))
            collected.setdefault((layers, name), []).append(
                np.array(
                    [(rank_correlation(a, b), similarity(to_unit(a), to_unit(b))) for a, b in pairs]
                )
            )
    steps = []
    for (layers, name), runs in collected.items():
        correlation, likeness = np.mean(runs, axis=0).T
        strength = np.mean(np.abs(runs), axis=0)[:, 0]
        named = {
            "rank_correlation": correlation,
            "absolute_rank_correlation": strength,
            "structural_similarity": likeness,
        }
        figures = with_intervals(_means(named), groups, seed=seed)
        steps.append({"layers": layers, "down_to": name, **figures})
    return {"films": len(images), "random_networks": SANITY_SEEDS, "steps": steps}


def _means(columns: Mapping[str, NDArray[Any]]) -> Callable[[Weights], dict[str, float]]:
    return lambda weights: {
        name: ratio(float((column * weights).sum()), float(weights.sum()))
        for name, column in columns.items()
    }


def _area(ranking: Ranking) -> Callable[[Weights], dict[str, float]]:
    return lambda weights: {"auc": ranking.area(weights)}
