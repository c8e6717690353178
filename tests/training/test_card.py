"""A card says what is known, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.card import write_card
from training.recipe import load_recipe

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads((MODELS / "covid19-radiography" / "bundle.json").read_text())


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("imagenet", "weights learned from ImageNet (Keras Applications)"),
        ("/home/me/notop.h5", "the weights in `notop.h5`"),
        ("none", "random weights"),
    ],
)
def test_what_a_network_started_from_is_said(weights, words, document):
    settings = load_recipe("densenet169").to_json()
    settings["network"]["weights"] = weights
    document["training"]["settings"] = settings
    card = write_card("mine", document)
    assert f"from {words}, seed" in card
    assert f"| initialisation | Training: {words} |" in card
    assert ("random weights" in card) == (weights == "none")
