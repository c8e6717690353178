"""The gate: what it says, how it is kept, and how a damaged one is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from cxr.decode import decode
from cxr.errors import BundleError, NotAChestXrayError, UnsuitableImageError
from cxr.gate import load_gate, save_gate
from cxr.preprocess import PreprocessSpec
from cxr.verdict import (
    CLASSES,
    CROPPED,
    FRONTAL,
    INVERTED,
    OTHER,
    REASONS,
    TURNED_LEFT,
    TURNED_RIGHT,
    UPSIDE_DOWN,
    judge,
)
from tests.phantoms import chest_phantom, encode_png

SIZE = 32


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained gate that loads. Do not change it."""
    keras.utils.set_random_seed(3)
    image = keras.Input((SIZE, SIZE, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, strides=4)(image))
    model = keras.Model(image, keras.layers.Dense(len(CLASSES), activation="softmax")(x))
    path = tmp_path_factory.mktemp("models") / "gate"
    probes = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 1), np.uint8)
    document = {
        "version": "0.0.1",
        "input": PreprocessSpec(size=SIZE).to_json(),
        "threshold": {FRONTAL: 0.25},
        "metrics": {},
    }
    save_gate(path, model, document, probes, "# Untrained\n")
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "gate"))


def probabilities(**of: float) -> np.ndarray:
    return np.array([of.get(name, 0.0) for name in CLASSES])


def test_a_film_passes_from_the_threshold_on() -> None:
    assert judge(probabilities(frontal=0.25, not_a_chest_xray=0.75), 0.25).error() is None
    below = judge(probabilities(frontal=0.24, not_a_chest_xray=0.76), 0.25)
    assert isinstance(below.error(), NotAChestXrayError)


def test_what_passes_with_less_than_half_is_doubtful() -> None:
    assert judge(probabilities(frontal=0.49, cropped=0.51), 0.25).doubtful
    assert not judge(probabilities(frontal=0.5, cropped=0.5), 0.25).doubtful
    assert not judge(probabilities(frontal=0.1, cropped=0.9), 0.25).doubtful


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (UPSIDE_DOWN, "half a turn"),
        (TURNED_LEFT, "clockwise by a quarter"),
        (TURNED_RIGHT, "anticlockwise by a quarter"),
        (INVERTED, "Invert its grey levels"),
        (CROPPED, "Send the whole film"),
    ],
)
def test_a_film_that_can_be_put_right_says_how(reason: str, words: str) -> None:
    error = judge(probabilities(**{reason: 0.9, FRONTAL: 0.1}), 0.25).error()
    assert isinstance(error, UnsuitableImageError)
    assert words in error.detail
    assert error.reason == reason
    assert reason in REASONS


def test_advice_is_given_only_where_the_gate_is_sure() -> None:
    unsure = judge(probabilities(upside_down=0.45, turned_left=0.4, frontal=0.15), 0.25)
    assert unsure.reason == OTHER
    assert isinstance(unsure.error(), NotAChestXrayError)
    assert unsure.error().reason is None


def test_a_gate_comes_back_as_it_was_saved(saved: Path) -> None:
    gate = load_gate(saved)
    assert gate.threshold == 0.25
    assert gate.card == "# Untrained\n"
    assert gate.replay_probes() < 1e-5
    film = decode(encode_png(chest_phantom(200)))
    verdict = gate.judge(film)
    assert sum(verdict.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert tuple(verdict.probabilities) == CLASSES
    try:
        assert gate.check(film) == verdict
    except (NotAChestXrayError, UnsuitableImageError):
        assert verdict.reason is not None


def _edit(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        document = json.loads((path / "gate.json").read_text())
        change(document)
        (path / "gate.json").write_text(json.dumps(document))

    return damage


def _spoil_probes(path: Path) -> None:
    with np.load(path / "probes/probes.npz") as probes:
        images, answers = probes["images"], probes["probabilities"]
    np.savez_compressed(
        path / "probes/probes.npz", images=images, probabilities=np.roll(answers, 1, axis=1)
    )


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: (path / "gate.json").unlink(), "gate.json"),
        (lambda path: (path / "gate.json").write_text("{"), "gate.json"),
        (_edit(lambda document: document.update(format="xray-bundle/1")), "gate.json"),
        (_edit(lambda document: document.pop("input")), "gate.json"),
        (_edit(lambda document: document["classes"].reverse()), "gate.json"),
        (_edit(lambda document: document["threshold"].update(frontal=0.0)), "gate.json"),
        (_edit(lambda document: document["threshold"].update(model_sha256="0" * 64)), "gate.json"),
        (_edit(lambda document: document["input"].update(size=64)), "gate.json"),
        (lambda path: (path / "model.keras").unlink(), "model.keras"),
        (lambda path: (path / "model.keras").write_bytes(b"PK\x03\x04"), "model.keras"),
        (lambda path: (path / "probes/probes.npz").unlink(), "probes.npz"),
        (lambda path: (path / "probes/probes.npz").write_bytes(b"no"), "probes.npz"),
        (_spoil_probes, "probes.npz"),
    ],
)
def test_a_damaged_gate_is_refused_and_the_file_named(
    copy: Path, damage: Callable[[Path], None], named: str
) -> None:
    damage(copy)
    with pytest.raises(BundleError, match=named):
        load_gate(copy)
