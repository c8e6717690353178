"""Probes come back as they were written, and whatever is wrong with them is said by file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxr.errors import BundleError
from cxr.probes import PROBES_FILE, TOLERANCE, load_probes, replay_probes, save_probes

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 1), np.uint8)


def network(inputs: np.ndarray) -> np.ndarray:
    """Mean and what it lacks to 1, for each image."""
    mean = inputs.mean(axis=(1, 2, 3))
    return np.stack([mean, 1 - mean], axis=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_probes(tmp_path, IMAGES, network(IMAGES.astype(np.float32) / 255))
    return tmp_path


def test_they_come_back_as_what_a_network_is_given(folder):
    inputs, answers = load_probes(folder)
    assert inputs.dtype == np.float32
    assert 0 <= inputs.min() < 0.01
    assert 0.99 < inputs.max() <= 1
    np.testing.assert_allclose(255 * inputs, IMAGES, atol=1e-4)
    np.testing.assert_allclose(answers, network(inputs))


def test_the_deviation_is_told_up_to_the_tolerance(folder):
    assert replay_probes(folder, network) == 0
    inside = replay_probes(folder, lambda inputs: network(inputs) + 0.9 * TOLERANCE)
    assert inside == pytest.approx(0.9 * TOLERANCE, rel=1e-3)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda inputs: network(inputs) + 1.1 * TOLERANCE, "off by 0.0011"),
        (lambda inputs: np.full((4, 2), np.nan), "off by nan"),
        (lambda inputs: network(inputs)[:1], r"shape \(4, 2\), not \(1, 2\)"),
    ],
)
def test_other_answers_are_refused(folder, other, words):
    with pytest.raises(BundleError, match=f"probes.npz.*{words}"):
        replay_probes(folder, other)


def _overwrite(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _spoil(path: Path) -> None:
    """The archive's index stays whole, what it points to does not."""
    content = bytearray(path.read_bytes())
    content[200:300] = bytes(100)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        _overwrite(b""),
        _overwrite(b"no archive"),
        _overwrite(b"PK\x03\x04 torn"),
        _spoil,
        lambda path: np.savez_compressed(path, images=IMAGES),
        lambda path: np.savez_compressed(
            path, images=IMAGES, probabilities=np.array([{"code": 1}])
        ),
    ],
    ids=["missing", "empty", "text", "torn", "spoilt", "no answers", "pickled"],
)
def test_damage_is_refused_with_the_file_s_name(folder, damage):
    damage(folder / PROBES_FILE)
    with pytest.raises(BundleError, match="probes.npz cannot be read"):
        load_probes(folder)
