"""What holds for the repository as a whole: documents finished, dependencies explained."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*/*.md")],
)
# "FIGURE?" stands where a measured number is still to come.
PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|XXX|TBD)\b|FIGURE\?")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
# Requirement sets, each building on the one before.
REQUIREMENTS = ("requirements", "requirements-training", "requirements-dev")
# Beside them: serving without TensorFlow.
LEAN = "requirements-lean"


def direct_dependencies(*stems: str) -> set[str]:
    """Return the normalised names in these ``.in`` files, or in all."""
    names = set()
    for stem in stems or (*REQUIREMENTS, LEAN):
        for line in (ROOT / f"{stem}.in").read_text("utf-8").splitlines():
            if match := re.match(r"[a-z][a-z0-9._-]*", line):
                names.add(match[0])
    return names


def pins(stem: str) -> dict[str, set[str]]:
    """Return name → pinned versions (several where they differ by Python or system)."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / f"{stem}.txt").read_text("utf-8").splitlines():
        if match := re.match(r"([a-z0-9][a-z0-9._-]*)==(\S+)", line):
            found.setdefault(match[1], set()).add(match[2])
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_document_is_finished(path: Path) -> None:
    text = path.read_text("utf-8")
    unfinished = [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if PLACEHOLDER.search(line)
    ]
    assert unfinished == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_inside_the_repository_lead_somewhere(path: Path) -> None:
    targets = LINK.findall(path.read_text("utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("name", sorted(direct_dependencies()))
def test_every_direct_dependency_is_justified(name: str) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert re.search(rf"^\|[^|]*`{re.escape(name)}`[^|]*\|\s*\S", text, re.MULTILINE), (
        f"CONTRIBUTING.md must say in its table why {name} is needed"
    )


@pytest.mark.parametrize("stem", [*REQUIREMENTS, LEAN])
def test_requirements_name_no_index_and_no_path(stem: str) -> None:
    lines = (ROOT / f"{stem}.txt").read_text("utf-8").splitlines()
    settings = [line for line in lines if re.match(r"\s*(-i|-f|--(?!hash=)|file:|https?:|/)", line)]
    assert settings == []
    assert not any("://" in line for line in lines)


def test_larger_requirement_sets_keep_the_pins_of_the_smaller_ones() -> None:
    serving, training, development = (pins(stem) for stem in REQUIREMENTS)
    assert serving.items() <= training.items()
    assert training.items() <= development.items()


def test_every_direct_dependency_is_pinned() -> None:
    assert direct_dependencies() <= pins("requirements-dev").keys()


def test_serving_installs_no_training_package() -> None:
    serving = pins("requirements").keys()
    assert not serving & {"imagehash", "matplotlib", "pandas", "scikit-learn", "tensorboard"}


@pytest.mark.parametrize("name", sorted(pins("requirements")))
def test_nothing_that_serving_installs_stands_under_the_gpl(name: str) -> None:
    try:
        about = metadata(name)
    except PackageNotFoundError:
        pytest.skip("for another system")
    named = [about.get("License", ""), about.get("License-Expression", "")]
    named += [line for line in about.get_all("Classifier", []) if line.startswith("License")]
    assert not re.search(r"\bA?GPL|General Public License", " ".join(named))


def test_lean_serving_installs_the_same_without_tensorflow() -> None:
    serving, lean = pins("requirements"), pins(LEAN)
    assert not lean.keys() & {"keras", "tensorflow", "tensorflow-cpu", "h5py"}
    web = {name: serving[name] for name in direct_dependencies("requirements") & lean.keys()}
    assert web.keys() == direct_dependencies("requirements") - {
        "keras",
        "tensorflow",
        "tensorflow-cpu",
    }
    assert web.items() <= lean.items()


def test_changelog_knows_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
