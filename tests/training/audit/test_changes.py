"""The mild changes are mild, and each one does what its words say."""

from __future__ import annotations

import numpy as np
import pytest

from tests.phantoms import chest_phantom
from training.audit.changes import CHANGES

FILM = chest_phantom(size=224)


def _changed(words: str) -> np.ndarray:
    (change,) = (change for change in CHANGES if change.words == words)
    return change.apply(FILM, np.random.default_rng(0))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.words)
def test_every_change_moves_something_and_not_much(change):
    before = FILM.copy()
    after = change.apply(FILM, np.random.default_rng(0))
    np.testing.assert_array_equal(before, FILM)  # the film itself is left alone
    assert after.dtype == np.uint8
    if change.family == "crop":
        assert after.shape == (213, 213)
        return
    assert after.shape == FILM.shape
    assert not np.array_equal(after, FILM)
    correlation = np.corrcoef(after.ravel(), FILM.ravel())[0, 1]
    least = {"rotation": 0.6, "processing": 0.85}
    assert correlation > least.get(change.family, 0.97)


def test_every_family_is_there():
    assert {change.family for change in CHANGES} == {
        "brightness", "contrast", "gamma", "JPEG", "blur", "noise", "rotation", "resampling",
        "crop", "processing",
    }  # fmt: skip


def test_words_and_directions_agree():
    assert _changed("10 % brighter").mean() > FILM.mean() + 15
    assert _changed("10 % darker").mean() < FILM.mean() - 10
    assert _changed("a quarter more contrast").std() > FILM.std() > 0
    assert _changed("a quarter less contrast").std() < FILM.std()
    assert _changed("gamma 0.8").mean() > FILM.mean() > _changed("gamma 1.25").mean()
    edges = np.abs(np.diff(FILM.astype(float))).mean()
    for processed in ("edges sharpened by an unsharp mask", "local contrast equalised (CLAHE)"):
        assert np.abs(np.diff(_changed(processed).astype(float))).mean() > 1.2 * edges
    left, right = _changed("10° anticlockwise"), _changed("10° clockwise")
    # Turning a film mirrored left to right the other way is the mirror of turning it.
    np.testing.assert_allclose(
        np.abs(left[:, ::-1].astype(int) - right).mean(),
        np.abs(FILM[:, ::-1].astype(int) - FILM).mean(),
        rtol=0.4,
    )
    corner = _changed("5 % cropped off the top and the left")
    np.testing.assert_array_equal(corner, FILM[11:224, 11:224])
