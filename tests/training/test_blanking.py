"""Films without lungs, lungs without film: what is blanked, what is asked, where masks are."""

from __future__ import annotations

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.bundle import load_bundle
from tests.training.tiny import TINY, threshold, write_masks
from training import blanking, finder, lungs
from training.__main__ import main
from training.augment import NO_AUGMENTATION, Augmentation
from training.blanking import SIDE, blank, find_lungs, masks_for
from training.layout import MASKS_ZIP
from training.prepared import prepare_for
from training.recipe import Stage
from training.recipes import residual

SHARES = replace(NO_AUGMENTATION, lungs_out=0.4, lungs_only=0.4)
BLANKING = replace(TINY, stages=(Stage(epochs=1, augmentation=SHARES),), optimizer="adamw")
FILMS = np.full((40, 96, 96, 1), 2.0, np.float32)  # no filling is as bright
TARGETS = np.tile(np.float32([0, 0.9, 0, 0]), (40, 1))  # the last: infected with anything


@pytest.fixture
def outlines() -> np.ndarray:
    inside = np.zeros((40, SIDE, SIDE), np.uint8)
    inside[:, 16:48, 10:26] = 1
    return inside


@pytest.fixture
def beside(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set with lung masks beside it, and a segmenter that is trained at once."""
    monkeypatch.setattr(lungs, "_COPIES", 1)
    monkeypatch.setattr(lungs, "_EPOCHS", 1)
    monkeypatch.setattr(lungs, "_network", threshold)
    shutil.copy(data, tmp_path / data.name)
    write_masks(tmp_path / MASKS_ZIP)
    return tmp_path / data.name


def test_without_its_lungs_a_film_speaks_for_no_class(outlines):
    films, targets = _blank(outlines, lungs_out=1.0)
    np.testing.assert_allclose(targets, np.tile([0.3, 0.3, 0.3, 0], (40, 1)))
    assert (films[:, 26:70, 17:37] <= 1).all()
    assert (films[:, :, 60:] == 2).all()
    assert (films[:, :10] == 2).all()


def test_nothing_but_lungs_keeps_its_class(outlines):
    films, targets = _blank(outlines, lungs_only=1.0)
    np.testing.assert_array_equal(targets, TARGETS)
    assert (films[:, 26:70, 17:37] == 2).all()
    assert (films[:, :, 60:] <= 1).all()


def test_shares_are_kept_and_what_came_in_is_left_alone(outlines):
    films, targets = _blank(outlines, lungs_out=0.3, lungs_only=0.3)
    untouched = (films == FILMS).all(axis=(1, 2, 3))
    without = (targets[:, 0] > 0).sum()
    assert 6 <= untouched.sum() <= 26
    assert 4 <= without <= 20
    assert (FILMS == 2).all()
    assert TARGETS[0].tolist() == pytest.approx([0, 0.9, 0, 0])


def test_no_filling_becomes_a_sign(outlines):
    films, _ = _blank(outlines, lungs_out=1.0)
    fillings = films[:, 30:60, 20:30]
    spread = fillings.std(axis=(1, 2, 3))
    assert (spread == 0).any()
    assert (spread > 0.01).any()
    assert np.ptp(fillings.mean(axis=(1, 2, 3))) > 0.3


def test_outlines_are_found_once(beside, tmp_path, monkeypatch):
    prepared = prepare_for(BLANKING, beside, tmp_path / "cache", 0)
    assert prepared.lungs is not None
    assert prepared.lungs.shape == (len(prepared.images), SIDE, SIDE)
    assert set(np.unique(prepared.lungs)) <= {0, 1}
    assert prepared.lungs.any()
    kept = lungs.segmenter(tmp_path / MASKS_ZIP, tmp_path / "cache")
    masks = kept.masks(np.asarray(prepared.images[:1]))[0]
    assert prepared.lungs[0].mean() >= 0.9 * masks.mean()  # the hull holds the lung

    monkeypatch.setattr(lungs.Segmenter, "masks", None)  # not asked again
    np.testing.assert_array_equal(find_lungs(prepared, beside, tmp_path / "cache"), prepared.lungs)
    assert prepare_for(TINY, beside, tmp_path / "cache", 0).lungs is None


def test_masks_of_the_data_set_itself_come_first(tmp_path):
    own = tmp_path / "own.zip"
    with zipfile.ZipFile(own, "w") as archive:
        archive.writestr("COVID/images/1.png", b"")
        archive.writestr("COVID/masks/1.png", b"")
    write_masks(tmp_path / MASKS_ZIP)
    assert masks_for(own) == own


def test_without_masks_it_says_so_and_blanks_nothing(data, tmp_path, capsys):
    alone = tmp_path / data.name
    shutil.copy(data, alone)
    assert prepare_for(BLANKING, alone, tmp_path / "cache", 0).lungs is None
    assert "There are no lung masks, neither in" in capsys.readouterr().out


@pytest.mark.usefixtures("verified_here")
def test_fit_trains_on_them_and_the_bundle_says_so(beside, tmp_path, monkeypatch, capsys):
    network = replace(BLANKING.network, view=0.75, upright=True, softness=1.5, mirrored=True)
    centred = replace(BLANKING, network=network, members=2)
    monkeypatch.setattr(residual, "RECIPE", centred)
    monkeypatch.setattr(finder, "_STEPS", 3)
    seen = []
    kept = blanking.blank
    monkeypatch.setattr(
        "training.loop.blank", lambda *given: seen.append(len(given[2])) or kept(*given)
    )
    out = tmp_path / "models" / "blanked"
    fit = ["fit", "residual", "--data", str(beside), "--runs", str(tmp_path / "runs")]
    fit += ["--cache", str(tmp_path / "cache"), "--out", str(out), "--precision", "float32"]
    assert main(fit) == 0, capsys.readouterr().err
    document = json.loads((out / "bundle.json").read_text())
    trained_on = sum(document["training"]["data"]["radiographs"]["train"].values())
    assert sum(seen) >= trained_on  # batches of an epoch that never comes may be made already
    assert document["training"]["data"]["lung_masks"] == MASKS_ZIP
    card = (out / "CARD.md").read_text()
    assert "40 % of the films had their lungs blanked" in card
    assert "reads what lies within a box around them" in card
    assert "smoothed by a filter 1.5 times as wide" in card
    assert "until the lungs are upright" in card
    assert "its mirror image, each by one half of the networks, and means" in card
    bundle = load_bundle(out)  # its probes come out as they did at export
    assert bundle.network.maps


def _blank(outlines: np.ndarray, **settings: float) -> tuple[np.ndarray, np.ndarray]:
    return blank(FILMS, TARGETS, outlines, Augmentation(**settings), np.random.default_rng(0))
