from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from cxr.bundle import list_bundles, load_bundle
from cxr.errors import BundleError
from cxr.preprocess import PreprocessSpec
from tests.conftest import write_tiny_bundle


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "models" / tiny_bundle.name))


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return load_bundle(tiny_bundle)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).random((3, 64, 64, 1), np.float32)


def test_a_bundle_loads_with_all_that_it_says(bundle, tiny_bundle):
    assert bundle.name == "pediatric-pneumonia"
    assert [finding.label for finding in bundle.classes][0] == "Normal"
    assert bundle.document["sha256"] == bundle.sha256
    assert bundle.card.startswith("# Untrained")
    assert bundle.replay_probes() < 1e-4
    assert list_bundles(tiny_bundle.parent) == (tiny_bundle,)


def test_prediction_has_probabilities_and_maps(bundle, images):
    prediction = bundle.predict(images)
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1)
    assert prediction.activation_maps.shape == (3, 8, 8, 3)
    infection = bundle.infection_probability(prediction.probabilities)
    np.testing.assert_allclose(infection, 1 - prediction.probabilities[:, 0])


def test_maps_average_to_the_logits_up_to_the_bias(bundle, images):
    prediction = bundle.predict(images)
    mean = prediction.activation_maps.mean(axis=(1, 2))
    log_probabilities = np.log(prediction.probabilities)
    # Softmax is blind to a shift, so differences of classes are compared; the bias is zero.
    np.testing.assert_allclose(
        mean[:, 1] - mean[:, 0], log_probabilities[:, 1] - log_probabilities[:, 0], atol=1e-4
    )


def test_threads_get_their_own_answers(bundle, images):
    expected = [bundle.predict(images[i : i + 1]).probabilities for i in range(3)]
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(50):
            got = bundle.predict(images[number : number + 1]).probabilities
            if not np.allclose(got, expected[number], atol=1e-6):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number % 3,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_other_shapes_are_refused(bundle):
    with pytest.raises(ValueError, match="shape"):
        bundle.predict(np.zeros((1, 32, 32, 1), np.float32))


def _edit(path: Path, **changes: object) -> None:
    document = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps({**document, **changes}))


def _remove(name: str):
    return lambda path: (path / name).unlink()


def _overwrite(name: str, content: bytes):
    return lambda path: (path / name).write_bytes(content)


def _in_place_of(name: str):
    """A folder where a file should be, as Docker makes one to mount."""

    def damage(path: Path) -> None:
        (path / name).unlink()
        (path / name).mkdir()

    return damage


def _probes(**changes: np.ndarray):
    def damage(path: Path) -> None:
        file = path / "probes" / "probes.npz"
        np.savez(file, **{**np.load(file), **changes})

    return damage


def _thresholds(**changes: object):
    def damage(path: Path) -> None:
        kept = json.loads((path / "bundle.json").read_text())["thresholds"]
        _edit(path, thresholds={**kept, **changes})

    return damage


def _within(name: str, **changes: object):
    def damage(path: Path) -> None:
        document = json.loads((path / "bundle.json").read_text())
        _edit(path, **{name: {**document[name], **changes}})

    return damage


def _class(number: int, **changes: object):
    def damage(path: Path) -> None:
        classes = json.loads((path / "bundle.json").read_text())["classes"]
        classes[number].update(changes)
        _edit(path, classes=classes)

    return damage


def _swap_model(path: Path) -> None:
    """Another model under the right hash: only the probes can tell."""
    import hashlib

    import keras

    model = keras.saving.load_model(path / "model.keras")
    model.get_layer("logits").set_weights(
        [weights + 0.5 * np.arange(3) for weights in model.get_layer("logits").get_weights()]
    )
    model.save(path / "model.keras")
    digest = hashlib.sha256((path / "model.keras").read_bytes()).hexdigest()
    _edit(path, sha256=digest)
    _thresholds(model_sha256=digest)(path)


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (_remove("bundle.json"), "bundle.json"),
        (_remove("model.keras"), "model.keras"),
        (_remove("probes/probes.npz"), "probes.npz"),
        (_overwrite("bundle.json", b"{"), "bundle.json"),
        (_overwrite("bundle.json", b"[]"), "bundle.json"),
        (_overwrite("model.keras", b"not a model"), "model.keras"),
        (_overwrite("probes/probes.npz", b"PK\x03\x04 torn"), "probes.npz"),
        (lambda path: _edit(path, format="xray-bundle/99"), "bundle.json"),
        (lambda path: _edit(path, classes=[]), "bundle.json"),
        (_thresholds(rule_out=0.9, rule_in=0.1), "bundle.json"),
        (_thresholds(rule_out="low"), "bundle.json"),
        (_thresholds(model_sha256="0" * 64), "thresholds were chosen for other weights"),
        (_thresholds(model_sha256=None), "thresholds were chosen for other weights"),
        (lambda path: _edit(path, thresholds={"rule_out": 0.3, "rule_in": 0.7}), "model_sha256"),
        (_overwrite("audit.json", b'{"model": {"sha256": "0"}}'), "audit of other weights"),
        (_overwrite("audit.json", b"{"), "audit.json"),
        (lambda path: _edit(path, input={"size": 64}), "bundle.json"),
        (lambda path: _edit(path, input=PreprocessSpec(size=32).to_json()), "model.keras"),
        (lambda path: _edit(path, calibration={"temperature": 3, "bias": [2, 0, 0]}), "probes"),
        (_swap_model, "probes.npz"),
        (_overwrite("bundle.json", b"[" * 100_000), "bundle.json"),
        (_overwrite("audit.json", b'{"model": 5}'), "audit.json"),
        (_overwrite("CARD.md", b"\xff"), "CARD.md"),
        (_in_place_of("CARD.md"), "CARD.md"),
        (_probes(images=np.zeros((0, 64, 64, 1), np.uint8)), "probes.npz"),
        (_probes(images=np.zeros((2, 32, 32, 1), np.uint8)), "probes.npz"),
        (_class(1, infected=1), "bundle.json.* infected"),
        (_class(0, infected="false"), "bundle.json.* infected"),
        (_class(0, infected=True), "bundle.json.* infected"),
        (_class(1, label="Normal"), "bundle.json.* label"),
        (_class(1, label=7), "bundle.json.* label"),
        (_class(1, label="\ud800"), "bundle.json"),
        (_class(1, id="normal"), "bundle.json.* id"),
        (lambda path: _edit(path, name=5), "bundle.json.* name"),
        (lambda path: _edit(path, name=["a"]), "bundle.json.* name"),
        (lambda path: _edit(path, name="a/b"), "bundle.json.* name"),
        (lambda path: _edit(path, version=1), "bundle.json.* version"),
        (lambda path: _edit(path, title="\ud800"), "bundle.json"),
        (lambda path: _edit(path, population=None), "bundle.json.* population"),
        (_within("population", min_age_years="1"), "bundle.json.* min_age_years"),
        (_within("population", label=5), "bundle.json.* label"),
        (_within("input", size=64.0), "bundle.json.* size"),
        (_within("input", cut_frame="no"), "bundle.json.* cut_frame"),
        (_within("input", clahe_clip=float("nan")), "bundle.json.* clahe_clip"),
        (_within("calibration", bias=[0.0, 0.0]), "bundle.json.* bias"),
        (lambda path: _edit(path, map_offset=[float("nan")] * 2), "bundle.json.* map_offset"),
    ],
)
def test_damage_is_refused_with_the_file_s_name(copy, damage, names):
    damage(copy)
    with pytest.raises(BundleError, match=names):
        load_bundle(copy)


def test_a_damaged_archive_under_its_own_hash_is_refused(copy):
    import hashlib

    whole = (copy / "model.keras").read_bytes()
    torn = whole[: len(whole) // 2]
    (copy / "model.keras").write_bytes(torn)
    _edit(copy, sha256=hashlib.sha256(torn).hexdigest())
    _thresholds(model_sha256=hashlib.sha256(torn).hexdigest())(copy)
    with pytest.raises(BundleError, match=r"model\.keras"):
        load_bundle(copy)


def test_thresholds_of_another_bundle_are_refused_though_both_are_whole(copy, tmp_path):
    """The mistake that happens: a colleague's better thresholds pasted beside these weights."""
    _swap_model(copy)
    foreign = json.loads((copy / "bundle.json").read_text())["thresholds"]
    mine = tmp_path / "mine"
    write_tiny_bundle(mine)
    assert foreign["model_sha256"] != load_bundle(mine).sha256
    _edit(mine, thresholds=foreign)
    with pytest.raises(BundleError, match="other weights"):
        load_bundle(mine)


def test_the_audit_of_these_weights_is_part_of_the_bundle(copy):
    assert load_bundle(copy).audit is None
    digest = json.loads((copy / "bundle.json").read_text())["sha256"]
    audit = {"model": {"sha256": digest}, "robustness": {}}
    (copy / "audit.json").write_text(json.dumps(audit))
    assert load_bundle(copy).audit == audit
