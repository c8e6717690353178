"""Does the map show what the network used? Two tests that a pretty picture can fail.

*Deletion* (Samek 2017, arXiv 1509.06321; Petsiuk 2018, arXiv 1806.07421): greying out what
the map calls hottest must lower the probability of infection far more than greying out as
much elsewhere. *Weight randomisation* (Adebayo 2018, arXiv 1810.03292): when the network's
weights are replaced by random ones, a map that depends on them must change.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cxr.bundle import Bundle
from cxr.explain import infection_evidence, upsample
from training.audit.films import Grey, predict_pictures
from training.errors import TrainingError

#: Share of the film that is deleted.
DELETED = 0.20
#: Random deletions of each film, whose mean is set against the one deletion of the map.
DRAWS = 3


@dataclass(frozen=True)
class Deletion:
    """Probability of infection of one film: whole, without its hottest fifth, and without a
    random fifth (the mean of ``DRAWS``)."""

    whole: float
    hottest: float
    random: float


def delete(bundle: Bundle, film: Grey, random: np.random.Generator) -> Deletion:
    """Delete from one film what its own map points at, and as much at random.

    The random areas are the hottest one itself, mirrored half of the time and moved around
    the film: as large, in as many pieces, with as long an edge; only the place differs.
    Deleted pixels become the film's mean grey, which is neither air nor density.
    """
    prediction = predict_pictures(bundle, [film])
    whole = float(bundle.infection_probability(prediction.probabilities)[0])
    if prediction.activation_maps is None:
        raise TrainingError(
            f"{bundle.name} has no activation maps: where it looks cannot be audited."
        )
    evidence = infection_evidence(
        prediction.activation_maps[0], prediction.probabilities[0], bundle.classes
    )
    hot = hottest(evidence, film, DELETED, bundle.map_offset)
    areas = [hot, *(moved(hot, random) for _ in range(DRAWS))]
    grey = np.uint8(round(float(film.mean())))
    versions = [np.where(area, grey, film).astype(np.uint8) for area in areas]
    left = bundle.infection_probability(predict_pictures(bundle, versions).probabilities)
    return Deletion(whole, float(left[0]), float(left[1:].mean()))


def hottest(
    evidence: NDArray[np.float32], film: Grey, share: float, offset: tuple[float, float]
) -> NDArray[np.bool_]:
    """The pixels of the strongest evidence, just ``share`` of all; shape of the film."""
    spread = float(np.ptp(evidence)) or 1.0
    scaled = ((evidence - evidence.min()) / spread).astype(np.float32)
    heat = upsample(scaled, film.shape[1], film.shape[0], offset).ravel()
    chosen = np.zeros(film.size, bool)
    most = -round(share * film.size)
    chosen[np.argpartition(heat, most)[most:]] = True
    return chosen.reshape(film.shape)


def moved(area: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """The same area elsewhere; what leaves the film on one side comes in on the other."""
    mirrored = area if random.random() < 0.5 else area[:, ::-1]
    steps = random.integers(0, area.shape[0]), random.integers(0, area.shape[1])
    return np.asarray(np.roll(mirrored, steps, axis=(0, 1)), bool)


def rank_correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Spearman's, of two maps; 0 where one of them is flat."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first.ravel(), second.ravel()).statistic)


def similarity(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Structural similarity (Wang 2004, IEEE TIP 13:600) of two maps in [0, 1], mean over the map.

    With its constants 0.01 and 0.03 and a Gaussian window of σ = 1.5 cells.
    """

    def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), 1.5), np.float64)

    x, y = first.astype(np.float64), second.astype(np.float64)
    mean_x, mean_y = smooth(x), smooth(y)
    spread_x, spread_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    common = smooth(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 0.01**2) / (mean_x**2 + mean_y**2 + 0.01**2)
    structure = (2 * common + 0.03**2) / (spread_x + spread_y + 0.03**2)
    return float((luminance * structure).mean())
