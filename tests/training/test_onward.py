"""Going on from an exported bundle: taken apart, trained further, part of the way back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from cxr.bundle import load_bundle
from tests.training.tiny import TINY, film
from training.__main__ import main
from training.architectures import ResidualNetwork, assemble, build
from training.architectures.centre import FINDER
from training.architectures.residual import blended, taken_apart
from training.recipe import Recipe

SHAPE = ResidualNetwork(
    stem=(4, 8), widths=(8, 12), depths=(1, 1), view=0.75, finder=((4, 2), (8, 2))
)
FILMS = np.random.default_rng(0).random((3, 64, 64, 1), np.float32)


def trained(seed: int) -> keras.Model:
    """A network with weights of chance."""
    keras.utils.set_random_seed(seed)
    network = build(SHAPE, 64, 3)
    for variable in network.trainable_variables:
        variable.assign(variable + keras.random.normal(variable.shape, stddev=0.2))
    return network


@pytest.mark.parametrize("size", [64, 96])
def test_a_network_taken_apart_computes_what_it_did(size: int) -> None:
    exported = assemble([trained(0)], SHAPE)
    network = taken_apart(exported, SHAPE, size)
    films = np.random.default_rng(1).random((2, size, size, 1), np.float32)
    again = assemble([network], SHAPE)
    # Once more rounded to half precision.
    for layer in exported.layers:
        for one, other in zip(layer.weights, again.get_layer(layer.name).weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-3)
    logits = network(films, training=False)
    np.testing.assert_allclose(again(films), keras.ops.softmax(logits), atol=2e-3)


def test_one_of_another_shape_is_not_taken_apart() -> None:
    exported = assemble([trained(0)], SHAPE)
    with pytest.raises(ValueError, match="stage2_block2"):
        taken_apart(exported, replace(SHAPE, depths=(1, 2)), 64)
    with pytest.raises(ValueError, match="weight"):
        taken_apart(exported, replace(SHAPE, finder=((4, 2), (12, 2))), 64)


def test_on_the_way_are_weighted_means_and_the_first_ones_finder() -> None:
    ends = [assemble([trained(seed)], SHAPE) for seed in range(3)]
    before = [{layer.name: layer.get_weights() for layer in one.layers} for one in ends]
    model = blended(ends, [0.5, 0.25, 0.25])
    kernels = [weights["member1_stem2"][0] for weights in before]
    expected = 0.5 * kernels[0] + 0.25 * kernels[1] + 0.25 * kernels[2]
    np.testing.assert_allclose(model.get_layer("member1_stem2").kernel, expected, atol=1e-3)
    bias = np.average([weights["logits"][1] for weights in before], axis=0, weights=[2, 1, 1])
    np.testing.assert_allclose(model.get_layer("logits").bias, bias, atol=1e-6)
    for one, other in zip(model.get_layer(FINDER).get_weights(), before[0][FINDER], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrong", [{"onward": 0.0}, {"onward": 1.5}, {"averaged": 2}])
def test_a_way_that_leads_nowhere_is_no_recipe(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="share of the way|go on from one network"):
        Recipe(**wrong)


@pytest.mark.usefixtures("tiny_recipe")
def test_fit_goes_on_from_a_bundle(data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    import training.recipes.adult_onward as onward

    places = ["--data", str(data), "--cache", str(tmp_path / "c"), "--runs", str(tmp_path / "r")]
    options = [*places, "--epochs", "1", "--precision", "float32"]
    first, second = tmp_path / "models" / "first", tmp_path / "models" / "second"
    assert main(["fit", "residual", *options, "--out", str(first)]) == 0
    stage = replace(TINY.stages[0], learning_rate=1e-5, warmup_epochs=0.0)
    recipe = replace(TINY, onward=0.5, averaged=2, stages=(stage,), keep="last")
    monkeypatch.setattr(onward, "RECIPE", recipe)
    arguments = ["fit", "adult_onward", *options, "--out", str(second)]
    capsys.readouterr()
    assert main(arguments) == 1
    assert "--weights models/NAME" in capsys.readouterr().err
    assert main([*arguments, "--weights", str(first)]) == 0

    document = json.loads((second / "bundle.json").read_text())
    before = load_bundle(first)
    assert document["training"]["started_from"]["sha256"] == before.sha256
    assert len(document["training"]["networks"]) == 2
    card = (second / "CARD.md").read_text()
    assert "from the weights of `first` 1.0.0" in card
    assert "50 % of the way" in card
    # So small a step from the first one's weights, and not from chance.
    after = load_bundle(second)
    assert after.sha256 != before.sha256
    np.testing.assert_allclose(after.network(FILMS[:1])[0], before.network(FILMS[:1])[0], atol=0.02)

    # Another recipe's network, and other classes.
    monkeypatch.setattr(onward, "RECIPE", replace(recipe, network=SHAPE))
    assert main([*arguments, "--weights", str(first)]) == 1
    assert "is not the recipe's" in capsys.readouterr().err
    folders = tmp_path / "folders"
    for name in ("Normal", "Tuberculosis"):
        (folders / name).mkdir(parents=True)
        for number in range(12):
            seed = 9000 + number + 500 * (name == "Normal")
            (folders / name / f"{number}.png").write_bytes(film(seed, name != "Normal"))
    arguments[arguments.index("--data") + 1] = str(folders)
    assert main([*arguments, "--weights", str(first)]) == 1
    assert "same classes" in capsys.readouterr().err
