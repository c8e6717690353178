"""Every shipped recipe: it builds, trains a step, exports, and the app's code loads it."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
from skimage.feature import hog

from cxr.bundle import load_bundle
from cxr.engine_keras import KerasNetwork
from cxr.engine_lean import LeanNetwork
from tests.training.tiny import TINY
from tests.training.trees import covid_files, write_folder
from training.__main__ import main
from training.architectures import (
    DenseNetwork,
    HogNetwork,
    PlainNetwork,
    ResidualNetwork,
    assemble,
    build,
)
from training.architectures.hog import hog_features
from training.data import prepare
from training.errors import DataError, TrainingError
from training.lean import _write_onnx
from training.recipe import Recipe, Stage, load_recipe, recipe_names

NETWORKS = [
    PlainNetwork(filters=(4,), dense=(8,)),
    PlainNetwork(filters=(4, 8), dense=(), rgb=True, average=True, dropout=0.2),
    HogNetwork(filters=(4, 8), cell=8, hog_dense=4, dense=(4,)),
]


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("network", NETWORKS, ids=["plain", "plain-rgb", "hog"])
def test_what_is_exported_computes_what_was_trained(network, tmp_path):
    images = np.random.default_rng(0).random((3, 64, 64, 1), np.float32)
    members = [build(network, 64, 4) for _ in range(2)]
    logits = [np.asarray(member(images)) for member in members]
    for number, expected in ((1, logits[0]), (2, np.mean(logits, axis=0))):
        assemble(members[:number], network).save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
        np.testing.assert_allclose(np.asarray(again(images)), _softmax(expected), atol=1e-5)


def test_the_lean_engine_computes_hog_too(tmp_path):
    network = NETWORKS[2]
    assemble([build(network, 64, 3)], network).save(tmp_path / "model.keras")
    reference = KerasNetwork(tmp_path / "model.keras")
    _write_onnx(reference, tmp_path / "model.onnx")
    film = np.random.default_rng(0).random((1, 64, 64, 1), np.float32)
    lean = LeanNetwork(tmp_path / "model.onnx")
    assert not lean.maps
    np.testing.assert_allclose(lean(film)[0], reference(film)[0], atol=1e-4)


def test_hog_within_the_graph_is_scikit_images():
    film = np.random.default_rng(1).random((64, 64), np.float32)
    image = keras.Input((64, 64, 1))
    found = np.asarray(keras.Model(image, hog_features(image, 9, 8))(film[None, ..., None]))[0]
    expected = hog(film, 9, (8, 8), (2, 2), "L2-Hys", feature_vector=False).reshape(7, 7, 36)
    # At the film's very edge scikit-image keeps the gradient along it.
    np.testing.assert_allclose(found[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-5)


@pytest.mark.parametrize("name", [n for n in recipe_names() if n != "densenet169"])
def test_every_recipe_builds_at_its_size(name):
    recipe = load_recipe(name)
    sizes = {stage.size or recipe.preprocess.size for stage in recipe.stages}
    for size in sizes:
        network = build(recipe.network, size, 4)
        assert network.input_shape == (None, size, size, 1)
        assert network.output_shape == (None, 4)


def test_densenet_says_what_to_do_without_its_weights(tmp_path, monkeypatch):
    network = DenseNetwork(weights=str(tmp_path / "none.h5"))
    with pytest.raises(TrainingError, match="no weights file"):
        build(network, 64, 3)

    def unreachable(**_: object) -> None:
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "DenseNet169", unreachable)
    with pytest.raises(TrainingError, match=r"could not be downloaded.*notop\.h5.*--weights none"):
        build(DenseNetwork(), 64, 3)
    (tmp_path / "other.h5").write_bytes(b"not weights")
    with pytest.raises(TrainingError, match="do not fit DenseNet169"):
        build(DenseNetwork(weights=str(tmp_path / "other.h5")), 64, 3)


@pytest.mark.slow
def test_densenet_starts_from_a_weights_file_and_exports(tmp_path):
    image = keras.Input((32, 32, 3))
    base = keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=image)
    base.save_weights(tmp_path / "notop.weights.h5")
    path = str(tmp_path / "notop.weights.h5")
    network = build(DenseNetwork(depth=121, weights=path, dense=(8,)), 32, 4)
    for name in ("conv1_conv", "conv5_block16_2_conv"):
        np.testing.assert_array_equal(
            network.get_layer(name).get_weights()[0], base.get_layer(name).get_weights()[0]
        )
    exported = assemble([network], DenseNetwork(depth=121, weights="gone", dense=(8,)))
    film = np.full((1, 32, 32, 1), 0.3, np.float32)
    logits = np.asarray(network(film))
    np.testing.assert_allclose(np.asarray(exported(film)), _softmax(logits), atol=1e-5)


def test_a_recipe_is_checked():
    with pytest.raises(ValueError, match="no optimizer"):
        replace(TINY, optimizer="sgdx")
    with pytest.raises(ValueError, match="no schedule"):
        replace(TINY, schedule="never")
    mirrored = ResidualNetwork(view=0.75, mirrored=True)
    assert replace(TINY, network=mirrored, members=2).members == 2
    with pytest.raises(ValueError, match="3 networks cannot share both ways round"):
        replace(TINY, network=mirrored, members=3)
    with pytest.raises(ValueError, match="share of companions"):
        Stage(companions=-1 / 32)


@pytest.fixture
def plain_recipe(monkeypatch) -> Recipe:
    import training.recipes.single_conv as single_conv

    recipe = replace(
        TINY,
        network=PlainNetwork(filters=(4,), dense=(8,)),
        optimizer="rmsprop",
        weight_decay=0.0,
        gradient_clip=0.0,
        schedule="adaptive",
        merge_infected=True,
        stressed_copies=1,
    )
    monkeypatch.setattr(single_conv, "RECIPE", recipe)
    return recipe


@pytest.mark.usefixtures("plain_recipe")
def test_four_classes_become_two_masks_are_applied_and_the_bundle_loads(tmp_path, capsys):
    """The whole line, on folders of four classes with masks: fit, load, evaluate, report."""
    data = write_folder(tmp_path / "covid", covid_files())
    out = tmp_path / "models" / "plain"
    cache = ["--cache", str(tmp_path / "cache")]
    fit = ["fit", "single_conv", "--data", str(data), "--out", str(out), *cache]
    fit += ["--epochs", "1", "--precision", "float32", "--runs", str(tmp_path / "runs"), "--masks"]
    assert main([*fit, "--weights", "none"]) == 1
    assert "starts from nothing" in capsys.readouterr().err
    assert main([*fit, "--no-augmentation"]) == 0

    bundle = load_bundle(out)
    assert [finding.id for finding in bundle.classes] == ["normal", "infected"]
    assert not bundle.explains
    assert bundle.predict(np.zeros((1, 64, 64, 1), np.float32)).activation_maps is None
    settings = bundle.document["training"]["settings"]
    assert settings["masks"]
    assert not settings["stages"][0]["augmentation"]["flip"]
    assert "blacked out" in (out / "CARD.md").read_text()
    (run,) = (tmp_path / "runs").glob("single_conv-*")
    with (run / "classes.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["normal", "infected"]
    with (run / "predictions_test.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == bundle.metrics["test"]["films"]

    capsys.readouterr()
    assert main(["evaluate", str(out), "--data", str(data), "--json", *cache]) == 0
    again = json.loads(capsys.readouterr().out)
    exported = bundle.metrics["test"]["figures"]
    for name in ("accuracy", "class_accuracy"):
        assert again["figures"][name]["value"] == pytest.approx(exported[name]["value"])

    assert main(["report", str(run), "--data", str(data), *cache]) == 0
    html = (run / "report.html").read_text()
    assert "no class activation map" in html
    assert "Confusion matrix" in html


def test_masks_black_out_the_rest_and_are_asked_for_where_there_are_none(tmp_path):
    files = covid_files()
    half = np.zeros((96, 96), np.uint8)
    half[:, :48] = 255
    mask = cv2.imencode(".png", half)[1].tobytes()
    masked = {name: mask if "/masks/" in name else data for name, data in files.items()}
    spec = TINY.preprocess
    data = write_folder(tmp_path / "masked", masked)
    with_masks = prepare(data, spec, tmp_path / "cache", masks=True)
    whole = prepare(data, spec, tmp_path / "cache")
    assert not with_masks.images[:, :, 33:].any()
    assert with_masks.images[:, :, :31].mean() > 50
    assert whole.images[:, :, 33:].mean() > 50
    bare = {name: data for name, data in files.items() if "/masks/" not in name}
    with pytest.raises(DataError, match="no lung masks"):
        prepare(write_folder(tmp_path / "bare", bare), spec, tmp_path / "cache", masks=True)
