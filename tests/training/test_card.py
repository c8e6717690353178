"""A card says what is known, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from training.card import write_card
from training.layout import FOLDERS
from training.provenance import provenance_of
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


def test_of_a_private_collection_nothing_is_said_that_nobody_knows(document):
    untold = provenance_of(FOLDERS)
    document["population"] = {"label": "Patients"}
    document["training"]["data"] |= {
        "name": FOLDERS,
        "source": untold.source,
        "licence": untold.licence,
        "caveats": untold.caveats,
        "companions": [],
    }
    card = write_card("mine", document)
    claims = ("public films", "public data", "public, de-identified", "publishers", "as published",
              "ages above", "all open", "data and code open")  # fmt: skip
    for words in claims:
        assert words not in card, words
    assert "| de-identification | not known" in card
    assert "patients unlike those of its films" in card


def test_a_bar_in_the_name_of_a_class_is_no_border_of_a_table(document):
    document["classes"][1]["label"] = "Active | healed"
    rows = [line for line in write_card("mine", document).splitlines() if line.startswith("|")]
    assert any(r"Active \| healed" in row for row in rows)
    assert not any("Active | healed" in row for row in rows)
