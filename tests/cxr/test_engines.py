"""The lean engine answers as Keras does, and needs neither Keras nor TensorFlow."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from app.sample import sample_path
from cxr.bundle import load_bundle
from cxr.decode import decode
from cxr.engines import file_sha256
from cxr.errors import BundleError
from cxr.radiograph import to_eight_bits
from tests.phantoms import encode_jpeg

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(lean_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lean_bundle, tmp_path / "models" / lean_bundle.name))


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).random((5, 64, 64, 1), np.float32)


def test_both_engines_answer_alike(lean_bundle, images):
    keras, lean = load_bundle(lean_bundle), load_bundle(lean_bundle, "lean")
    assert (keras.engine, lean.engine) == ("keras", "lean")
    assert keras.sha256 == lean.sha256
    expected, got = keras.predict(images), lean.predict(images)
    np.testing.assert_allclose(got.probabilities, expected.probabilities, atol=1e-4)
    np.testing.assert_allclose(got.activation_maps, expected.activation_maps, atol=1e-3)
    assert got.activation_maps.dtype == expected.activation_maps.dtype == np.float32
    assert lean.replay_probes() < 1e-4


def test_lean_threads_get_their_own_answers(lean_bundle, images):
    lean = load_bundle(lean_bundle, "lean")
    expected = [lean.predict(images[i : i + 1]).probabilities for i in range(len(images))]
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(100):
            if (lean.predict(images[number : number + 1]).probabilities != expected[number]).any():
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(images))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


_SERVE = """
import pathlib
import sys
import app.registry
from app.settings import Settings

NEVER = {"tensorflow", "keras", "onnx", "tf2onnx", "sklearn", "scipy", "matplotlib", "pandas"}
LATER = {"pydicom", "pynetdicom", "highdicom", "dicomweb_client", "imagecodecs", "requests"}
app.registry.prepare_dicom = lambda: None  # follows at once, but nobody waits for it
app = app.create_app(Settings.from_environment())
assert app.extensions["registry"].wait(60)
client = app.test_client()
assert client.get("/readyz").status_code == 200, client.get("/readyz").get_json()
heavy = (NEVER | LATER) & set(sys.modules)
assert not heavy, heavy

film = pathlib.Path(sys.argv[1]).read_bytes()
before = set(sys.modules)
answer = client.post("/predict?heatmap=overlay", data=film, content_type="image/jpeg")
assert answer.status_code == 200, answer.get_data()
assert answer.get_json()["heatmap"].startswith("data:image/png")
assert client.post("/", data=film, content_type="image/jpeg").status_code == 200
late = {name for name in set(sys.modules) - before if name.startswith("PIL.")}
assert not late, f"the first film waits for {late}"
heavy = NEVER & set(sys.modules)
assert not heavy, heavy
"""


def test_serving_lean_imports_no_keras_and_no_tensorflow(copy, tmp_path):
    (copy / "model.keras").unlink()
    film = tmp_path / "film.jpeg"  # a real one: the gate may refuse what is drawn
    film.write_bytes(encode_jpeg(to_eight_bits(decode(sample_path().read_bytes()).pixels)))
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, str(film)],
        cwd=ROOT,
        env={**os.environ, "XRAY_ENGINE": "lean", "XRAY_MODELS": str(copy.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def _edit(path: Path, **changes: object) -> None:
    document = json.loads((path / "bundle.json").read_text())
    (path / "bundle.json").write_text(json.dumps({**document, **changes}))


def _swap(path: Path) -> None:
    """Another network under the right hash: only the probes can tell."""
    import onnx

    model = onnx.load(path / "model.onnx")
    for weights in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weights)
        if values.dtype == np.float32 and values.ndim:
            changed = values + np.linspace(-1, 1, values.size, dtype=np.float32).reshape(
                values.shape
            )
            weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))
    _replace(path, model.SerializeToString())


def _rename(path: Path) -> None:
    import onnx

    model = onnx.load(path / "model.onnx")
    for node in model.graph.node:
        node.output[:] = ["other" if name == "probabilities" else name for name in node.output]
    model.graph.output[0].name = "other"
    _replace(path, model.SerializeToString())


def _replace(path: Path, content: bytes) -> None:
    (path / "model.onnx").write_bytes(content)
    _edit(path, lean={"file": "model.onnx", "sha256": file_sha256(path / "model.onnx")})


@pytest.mark.parametrize(
    ("damage", "names"),
    [
        (lambda path: (path / "model.onnx").unlink(), r"model\.onnx"),
        (lambda path: (path / "model.onnx").write_bytes(b"x"), r"model\.onnx.*sha256"),
        (lambda path: _replace(path, b"not a model"), r"model\.onnx cannot be loaded"),
        (lambda path: _edit(path, lean=5), r"model\.onnx"),
        (lambda path: _edit(path, lean={}), r"model\.onnx.*sha256"),
        (_rename, r"model\.onnx has the inputs"),
        (_swap, r"probes\.npz"),
    ],
)
def test_a_damaged_lean_file_is_refused_with_its_name(copy, damage, names):
    damage(copy)
    with pytest.raises(BundleError, match=names):
        load_bundle(copy, "lean")


def test_a_bundle_without_a_lean_file_says_how_to_make_one(tiny_bundle):
    with pytest.raises(BundleError, match="python -m training export-lean"):
        load_bundle(tiny_bundle, "lean")


@pytest.mark.parametrize(
    ("engine", "package", "other"), [("lean", "onnxruntime", "keras"), ("keras", "keras", "lean")]
)
def test_an_engine_that_is_not_installed_is_named(lean_bundle, monkeypatch, engine, package, other):
    monkeypatch.delitem(sys.modules, f"cxr.engine_{engine}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BundleError, match=rf"{package}.*XRAY_ENGINE={other}"):
        load_bundle(lean_bundle, engine)
