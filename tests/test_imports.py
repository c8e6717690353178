"""Which package may import which: the walls of the house.

``app → cxr`` and ``training → cxr``, nothing else: serving must run where no training
library is installed, training where no Flask is, and ``cxr`` in both.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

WEB = {"flask", "gunicorn", "jinja2", "prometheus_client", "werkzeug"}
TRAINING_ONLY = {
    "imagehash",
    "matplotlib",
    "openpyxl",
    "optuna",
    "pandas",
    "scipy",
    "seaborn",
    "skimage",
    "sklearn",
    "statsmodels",
    "tensorboard",
    "tqdm",
}
FORBIDDEN = {
    "app": {"training", "tests", "benchmarks"} | TRAINING_ONLY,
    "training": {"app", "tests", "benchmarks"} | WEB,
    "cxr": {"app", "training", "tests", "benchmarks"} | WEB | TRAINING_ONLY,
}


def imported_names(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, first part of the module's name) for every import, at any depth.

    Imports inside functions and ``importlib.import_module("literal")`` count too. A relative
    import that climbs above ``package`` (a dotted name) is resolved, not taken on trust.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield node.lineno, (node.module or "").split(".")[0]
                continue
            above = package.split(".")[: -(node.level - 1) or None]
            for alias in node.names:
                yield node.lineno, [*above, *(node.module or alias.name).split(".")][0]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in {"importlib.import_module", "import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and isinstance(node.args[0].value, str)
        ):
            yield node.lineno, node.args[0].value.split(".")[0]


def violations(root: Path, package: str) -> list[str]:
    """Return ``path:line imports name`` for each import that ``package`` may not make."""
    found = []
    for path in sorted((root / package).rglob("*.py")):
        parent = ".".join(path.relative_to(root).parent.parts)
        for line, name in imported_names(path.read_text("utf-8"), parent):
            if name in FORBIDDEN[package]:
                found.append(f"{path.relative_to(root).as_posix()}:{line} imports {name}")
    return found


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_package_keeps_to_its_own_walls(package: str) -> None:
    assert list((ROOT / package).rglob("*.py")), f"{package}/ has no modules to check"
    assert violations(ROOT, package) == []


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("app", "import training"),
        ("app", "from training.data import read_dataset"),
        ("app", "def late():\n    import training.fit"),
        ("app", "from .. import training"),
        ("app", "import sklearn.metrics"),
        ("training", "from app import create_app"),
        ("training", "import cxr, app.predictor"),
        ("training", "import importlib\nimportlib.import_module('app.predictor')"),
        ("training", "if True:\n    from flask import Flask"),
        ("cxr", "import flask"),
        ("cxr", "from app.settings import Settings"),
        ("cxr", "from training import split"),
        ("cxr", "from ..training import split"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, package: str, statement: str) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "planted.py").write_text(statement + "\n", "utf-8")
    assert len(violations(tmp_path, package)) == 1


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("app", "import flask, cxr.bundle\nfrom . import settings"),
        ("training", "import pandas\nfrom cxr.decode import decode\nfrom . import app_like"),
        ("cxr", "import numpy\nfrom .errors import CxrError\ntext = 'import flask'"),
    ],
)
def test_an_allowed_import_is_let_be(tmp_path: Path, package: str, statement: str) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "fine.py").write_text(statement + "\n", "utf-8")
    assert violations(tmp_path, package) == []


@pytest.mark.parametrize("package", ["app", "cxr"])
def test_whoever_imports_pydicom_late_enters_by_the_one_door(package: str) -> None:
    """By two, threads find a module that is only begun: see ``cxr.decode.prepare_dicom``."""
    late = {"cxr.film", "cxr.dicom"}
    for path in (ROOT / package).rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef) or function.name == "prepare_dicom":
                continue
            calls = [
                node.lineno
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "prepare_dicom"
            ]
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and node.module in late:
                    assert calls, f"{path}:{node.lineno}"
                    assert min(calls) < node.lineno, f"{path}:{node.lineno}"
