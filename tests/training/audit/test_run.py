"""The whole audit, on phantoms: what it writes, what it refuses, what the card then says."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.bundle import load_bundle
from cxr.preprocess import PreprocessSpec
from tests.conftest import write_tiny_bundle
from tests.training.tiny import film, threshold, write_masks
from training import card_audit, lungs
from training.__main__ import main
from training.audit.changes import CHANGES
from training.audit.external import external
from training.audit.run import _known_seeds as known_seeds
from training.audit.run import _metrics as figures_again
from training.data import prepare
from training.evaluate import prepare_as_trained

FIGURES = {"reliability.svg", "risk-coverage.svg", "robustness.svg", "shortcuts.svg"}


def _kermany(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for split, count, start in (("train", 60, 0), ("test", 24, 100)):
            for number in range(start, start + count):
                folder = f"chest_xray/{split}"
                name = f"{folder}/NORMAL/IM-{number:04d}-0001.jpeg"
                archive.writestr(name, film(number, False))
                for kind, offset in (("bacteria", 1000), ("virus", 2000)):
                    if number % 2:
                        name = f"{folder}/PNEUMONIA/person{number}_{kind}_{number}.jpeg"
                        archive.writestr(name, film(number + offset, True))


def _external(path: Path) -> None:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["file", "nih_label", "rsna_class", "age", "view", "findings"])
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(70):
            sick, asked = number % 3 == 0, number % 10 != 9
            name = f"{number:08d}_000.jpg"
            folder = "Pneumonia" if sick else "No_findings"
            verdict = ("Lung Opacity" if sick else "") if asked else "Normal"
            writer.writerow([name, folder, verdict, 40, "AP" if number % 2 else "PA", ""])
            archive.writestr(f"{folder}/{name}", film(5000 + number, sick))
        archive.writestr("labels.csv", table.getvalue())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, and an untrained bundle that says it was trained on them."""
    place = tmp_path_factory.mktemp("audit")
    _kermany(place / "films.zip")
    _external(place / "external.zip")
    write_masks(place / "masks.zip")
    write_masks(place / "well.zip", 100)
    bundle = write_tiny_bundle(
        place / "models" / "tiny",
        population={"label": "Children", "min_age_years": 1, "max_age_years": 5},
    )
    data = prepare(place / "films.zip", PreprocessSpec(size=64), place / "cache", 0).dataset
    _edit(
        bundle,
        training={
            "recipe": "none",
            "seed": 0,
            "device": "none",
            "networks": [{"epochs": 1, "best_epoch": 1, "seconds": 1}],
            "data": {
                "name": data.name,
                "sha256": data.sha256,
                "source": "Phantoms.",
                "licence": "None needed.",
                "caveats": ["They show nobody."],
                "official_split": True,
                "unreadable": 0,
                "radiographs": {"test": {"normal": 24, "bacterial": 12, "viral": 12}},
                "patients": {"test": 48},
            },
        },
        thresholds_chosen={"rule_out": "a", "rule_in": "b", "stressed_copies": 4},
    )
    return place


def _edit(bundle: Path, **changes: object) -> None:
    document = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps({**document, **changes}))


def _arguments(place: Path, *more: str) -> list[str]:
    start = ["audit", str(place / "models" / "tiny"), "--data", str(place / "films.zip")]
    return [*start, "--cache", str(place / "cache"), *more]


@pytest.fixture(scope="module")
def audited(place: Path) -> Path:
    # Of one name, as ``fit`` exports several seeds of one recipe.
    seeds = [place / seed / "tiny" for seed in ("seed-1", "seed-2")]
    for seed in seeds:
        shutil.copytree(place / "models" / "tiny", seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lungs, "_COPIES", 1)
        patch.setattr(lungs, "_EPOCHS", 1)
        patch.setattr(lungs, "_network", threshold)  # the U-Net takes a minute to compile
        more = ["--external", str(place / "external.zip"), "--also", *map(str, seeds)]
        more += ["--lung-masks", str(place / "masks.zip"), "--normals", str(place / "well.zip")]
        arguments = _arguments(place, *more)
        assert main(arguments) == 0
    return place / "models" / "tiny"


def test_the_bundle_gains_its_audit_and_still_verifies(audited):
    bundle = load_bundle(audited)
    assert bundle.audit is not None
    assert bundle.audit["model"]["sha256"] == bundle.sha256
    assert bundle.audit["films"] == 48
    assert {path.name for path in (audited / "figures").iterdir()} == FIGURES
    assert all((audited / "figures" / name).stat().st_size < 100_000 for name in FIGURES)
    assert len(bundle.map_offset) == 2
    assert bundle.map_offset == tuple(bundle.audit["attention"]["map_offset"])
    for split in ("validation", "test"):
        assert "risk_coverage_area" in bundle.metrics[split]["figures"]


def test_every_section_is_measured(audited):
    audit = json.loads((audited / "audit.json").read_text())
    assert [line["change"] for line in audit["robustness"]] == [one.words for one in CHANGES]
    pictures = {one["picture"]: one for one in audit["shortcuts"]["pictures"]}
    assert set(pictures) == {"whole", "corners", "borders", "no_lungs"}
    # The pneumonia of a phantom lies in its lungs: without them nothing can be relearned.
    assert pictures["whole"]["relearned_auc"]["value"] > 0.8
    assert audit["shortcuts"]["lungs"]["held_out"] == 5
    questions = [line["question"] for line in audit["shortcuts"]["told_from_features"]]
    assert "this data set or another hospital, among normal films" in questions
    external = audit["external"]
    assert external["films"] + external["left_out"] == 70
    assert external["infected"] == 21
    assert {part["name"] for part in external["parts"]} == {"AP", "PA"}
    normals = audit["normals"]
    assert normals["films"] == sum(normals["decisions"].values()) == 27
    assert not normals["trained_on"]
    # The other seeds are the same model here, so they never disagree.
    assert len(audit["seeds"]["models"]) == 3
    assert audit["seeds"]["figures"]["same_decision"]["value"] == 1
    assert audit["seeds"]["accuracy"]["standard_deviation"] == 0
    classes = {line["name"] for line in audit["subgroups"] if line["by"] == "class"}
    assert "Normal" in classes


def test_the_card_is_made_of_the_audit_s_figures(audited):
    card = (audited / "CARD.md").read_text()
    audit = json.loads((audited / "audit.json").read_text())
    for heading in (
        "Intended use", "What must not be done with it", "Data and licences", "Calibration",
        "Operating points", "Shortcuts", "Robustness", "Subgroups", "Where it looked",
        "Other seeds", "Another hospital", "Normal films of another source", "Limits",
        "Reporting checklists",
    ):  # fmt: skip
        assert f"# {heading}\n" in card, heading
    auc = audit["external"]["figures"]["auc"]
    assert f"{auc['value']:.3f} [{auc['low']:.3f}, {auc['high']:.3f}]" in card
    for name in FIGURES:
        assert f"(figures/{name})" in card
    assert "nan" not in card.lower().replace("finan", "")
    assert "healthy" not in card.lower()


def test_the_card_can_be_written_anew_without_measuring(audited, capsys):
    before = (audited / "CARD.md").read_text()
    (audited / "CARD.md").write_text("by hand")
    assert main(["card", str(audited)]) == 0
    assert (audited / "CARD.md").read_text() == before


def test_again_it_comes_out_alike_and_other_data_are_refused(audited, place, tmp_path, capsys):
    """The figures that are in bundle.json by now must come out again."""
    before = json.loads((audited / "bundle.json").read_text())["metrics"]
    changed = json.loads(json.dumps(before))
    changed["test"]["figures"]["accuracy"]["value"] += 0.05
    copy = Path(shutil.copytree(audited, tmp_path / "tiny"))
    _edit(copy, metrics=changed)
    capsys.readouterr()
    arguments = _arguments(place)
    arguments[1] = str(copy)
    assert main(arguments) == 1
    message = capsys.readouterr().err
    assert "accuracy on the test films" in message
    assert "Traceback" not in message


def test_figures_of_another_hospital_stay_in_a_bundle_that_was_calibrated_there(
    audited, place, tmp_path
):
    changed = json.loads((audited / "bundle.json").read_text())["metrics"]
    changed["test"]["figures"]["accuracy"]["value"] += 0.05
    copy = Path(shutil.copytree(audited, tmp_path / "tiny"))
    _edit(copy, metrics=changed, recalibrated={"prevalence": 0.5})
    bundle = load_bundle(copy)
    films = prepare_as_trained(bundle, place / "films.zip", place / "cache")
    metrics, answers = figures_again(bundle, films)
    assert metrics == changed
    assert len(answers.labels) == 48


def test_missing_parts_end_in_a_sentence(place, tmp_path, capsys):
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("a.txt", "")
    assert main([*_arguments(place, "--lung-masks", str(empty)), "--out", str(tmp_path)]) == 1
    assert "masks/NAME" in capsys.readouterr().err
    other = tmp_path / "models" / "tiny"
    assert main(["audit", str(other), "--data", str(place / "films.zip")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_a_model_without_a_map_is_told_so_before_anything_is_read(place, tmp_path, capsys):
    plain = write_tiny_bundle(tmp_path / "plain", mapped=False)
    known = json.loads((place / "models" / "tiny" / "bundle.json").read_text())
    _edit(plain, training=known["training"])
    assert main(["audit", str(plain), *_arguments(place)[2:]]) == 1
    told = capsys.readouterr().err
    assert "has no activation maps: it cannot be audited" in told
    assert "Measuring" not in told


@pytest.mark.parametrize("option", ["--external", "--normals", "--lung-masks"])
def test_a_wrong_path_is_named_before_anything_is_read(option, place, tmp_path, capsys):
    wrong = tmp_path / "wrong.zip"
    assert main([*_arguments(place, option, str(wrong)), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert f"There is no file or folder {wrong}. Check the path." in told
    assert "Measuring" not in told


def test_films_elsewhere_that_are_damaged_or_not_there_are_counted(place, tmp_path, capsys):
    given = tmp_path / "external.zip"
    with zipfile.ZipFile(place / "external.zip") as whole, zipfile.ZipFile(given, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "labels.csv":  # as Windows writes names
                content = content.replace(b"\r\n0", b"\r\nfilms\\0")
            if name == "Pneumonia/00000000_000.jpg":
                content = content[:200]
            if name != "No_findings/00000001_000.jpg":
                archive.writestr(name, content)
    found, _, _ = external(load_bundle(place / "models" / "tiny"), given)
    assert (found["films"], found["missing"], found["unreadable"]) == (61, 1, 1)
    told = capsys.readouterr().err
    assert "Pneumonia/00000000_000.jpg" in told
    assert "1 films that labels.csv names are not in" in told
    words = "; of 1 that the list names there was no file, 1 could not be read."
    assert words in "".join(card_audit._external(found))


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 1500


def test_what_was_known_of_other_seeds_stays_as_long_as_the_weights(audited):
    bundle = load_bundle(audited)
    known = known_seeds(bundle)
    assert known is not None
    assert known["of_version"] == bundle.version
    assert known["accuracy"] == bundle.audit["seeds"]["accuracy"]
    assert known_seeds(replace(bundle, sha256="of others")) is None
