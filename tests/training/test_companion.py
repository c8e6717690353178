import json
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.training.tiny import TINY, film, threshold, write_masks
from training import lungs, members
from training.__main__ import main
from training.augment import NO_AUGMENTATION
from training.companion import _Both, held_out, infections_of, joined, normals_of
from training.errors import DataError
from training.layout import MASKS_ZIP
from training.loop import Batches, Trained, smoothed_cross_entropy
from training.opacity import DRAWN
from training.prepared import prepare_for
from training.recipe import Stage
from training.recipes import residual

SHARES = replace(NO_AUGMENTATION, lungs_only=0.3)
STAGE = Stage(epochs=1, augmentation=SHARES, companions=1 / 32)
JOINING = replace(TINY, stages=(STAGE,), optimizer="adamw")


@pytest.fixture
def places(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A set without bacterial pneumonia, and one with; lung masks beside both."""
    monkeypatch.setattr(lungs, "_COPIES", 1)
    monkeypatch.setattr(lungs, "_EPOCHS", 1)
    monkeypatch.setattr(lungs, "_network", threshold)
    ours, theirs = tmp_path / "ours.zip", tmp_path / "theirs.zip"
    _write(ours, {"Normal": range(0, 40), "COVID": range(100, 140)})
    # Six of the bacterial films are films of ours: the same picture under another name.
    _write(theirs, {"Normal": range(200, 220), "COVID": range(300, 320)})
    _write(theirs, {"Bacterial Pneumonia": [*range(400, 430), *range(100, 106)]}, mode="a")
    write_masks(tmp_path / MASKS_ZIP)
    return ours, theirs


def _write(path: Path, classes: dict[str, object], mode: str = "w") -> None:
    with zipfile.ZipFile(path, mode) as archive:
        for name, seeds in classes.items():
            for seed in seeds:
                infected = name != "Normal"
                archive.writestr(f"set/{name}/{path.stem}-{seed}.png", film(seed, infected))


def test_only_unknown_infections_join_and_none_that_is_judged_with(places, tmp_path):
    ours, theirs = places
    cache = tmp_path / "cache"
    prepared = prepare_for(JOINING, ours, cache, 0)
    found = infections_of(prepared, JOINING, theirs, cache, 0)
    assert list(found.findings) == ["bacterial_pneumonia"]
    other = prepare_for(JOINING, theirs, cache, 0)
    trained = other.indices("train")
    bacterial = [one.id for one in other.dataset.classes].index("bacterial_pneumonia")
    candidates = [
        other.dataset.records[row].path for row in trained if other.labels[row] == bacterial
    ]
    judged = {
        Path(record.path).stem.split("-")[1]
        for record in prepared.dataset.records
        if record.split in ("validation", "test")
    }
    again = [path for path in candidates if Path(path).stem.split("-")[1] in judged]
    assert again  # otherwise this shows nothing
    assert found.findings["bacterial_pneumonia"] == len(candidates) - len(again)
    assert len(found.images) == len(found.lungs) == found.findings["bacterial_pneumonia"]

    with pytest.raises(DataError, match="no training films of an infection"):
        infections_of(other, JOINING, ours, cache, 0)


def test_three_of_four_normals_join_with_the_outlines_of_their_masks(places, tmp_path):
    ours, _ = places
    prepared = prepare_for(JOINING, ours, tmp_path / "cache", 0)
    given = JOINING.preprocess, tmp_path / MASKS_ZIP, tmp_path / "cache"
    found, ill = normals_of(prepared, *given, 0, 1 / 32)
    kept = [number for number in range(25) if not held_out(f"x/images/{number}.png")]
    assert 0 < len(found.images) == len(kept) < 25
    assert found.findings == {"normal": len(kept)}
    assert found.lungs is not None
    assert found.lungs[:, 32, 20].all()
    assert not found.lungs[:, 2].any()
    own = (prepared.labels[prepared.indices("train")] == 0).sum()
    assert found.repeated == max(round(own / 32 / len(kept)), 1)
    assert not found.infected
    assert ill.infected
    assert ill.findings == {DRAWN: len(ill.images)}
    assert len(ill.images) == found.repeated * -(-len(kept) // 2)
    assert (ill.images != found.images[::2]).any(axis=(1, 2)).all()

    empty = tmp_path / "empty.zip"
    _write(empty, {"Normal": range(3)})
    with pytest.raises(DataError, match="no film with a lung mask"):
        normals_of(prepared, JOINING.preprocess, empty, tmp_path / "cache", 0, 1 / 32)
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(broken, "w") as archive:
        for number in range(9):
            archive.writestr(f"x/images/{number}.png", film(number, False))
            archive.writestr(f"x/masks/{number}.png", b"no picture")
    with pytest.raises(DataError, match=r"masks/\d\.png is not a picture of a lung mask"):
        normals_of(prepared, JOINING.preprocess, broken, tmp_path / "cache", 0, 1 / 32)


def test_joined_films_lie_behind_those_of_the_set(places, tmp_path):
    ours, theirs = places
    cache = tmp_path / "cache"
    prepared = prepare_for(JOINING, ours, cache, 0)
    rows = prepared.indices("train")
    normals = normals_of(prepared, JOINING.preprocess, tmp_path / MASKS_ZIP, cache, 0, 1 / 32)[0]
    companions = [
        infections_of(prepared, JOINING, theirs, cache, 0),
        replace(normals, repeated=3),
    ]
    images, labels, outlines, seen = joined(prepared, rows, companions)
    ill, well = (len(one.images) for one in companions)
    own = len(prepared.labels)
    assert images.shape == (own + ill + well, 64, 64)
    assert len(labels) == len(outlines) == own + ill + well
    assert labels[own : own + ill].tolist() == [2] * ill  # of two classes: with anything
    assert labels[own + ill :].tolist() == [0] * well
    assert len(seen) == len(rows) + ill + 3 * well
    asked = np.array([0, own - 1, own, own + ill - 1, own + ill, own + ill])
    everything = [prepared.images[:], *(one.images for one in companions)]
    np.testing.assert_array_equal(images[asked], np.concatenate(everything)[asked])
    assert joined(prepared, rows, ())[0] is prepared.images

    batches = Batches(images, labels, seen, 2, JOINING, STAGE, 0, lungs=outlines)
    targets = np.concatenate([batches[number][1] for number in range(len(batches))])
    assert targets.shape == (len(seen), 3)
    assert (targets[:, 2] > 0).sum() == ill


def test_both_takes_rows_of_one_side_alone():
    first, second = np.arange(4).reshape(4, 1, 1), np.arange(10, 13).reshape(3, 1, 1)
    both = _Both(first, second)
    assert both[np.array([1, 3])].ravel().tolist() == [1, 3]
    assert both[np.array([4, 6])].ravel().tolist() == [10, 12]


def test_infected_with_anything_is_asked_of_the_sum_and_of_no_class():
    loss = smoothed_cross_entropy(0.0, np.array([False, True, True]))
    target = np.float32([[0, 0, 0, 2.0]])

    def of(probabilities):
        return float(loss(target, np.log(np.float32([probabilities])))[0])

    assert of([0.2, 0.7, 0.1]) == pytest.approx(-2 * np.log(0.8), rel=1e-5)
    assert of([0.2, 0.1, 0.7]) == pytest.approx(of([0.2, 0.7, 0.1]), rel=1e-5)
    named = np.float32([[0, 2.0, 0, 0]])
    plain = keras.losses.categorical_crossentropy(named[:, :3], np.float32([[0.2, 0.7, 0.1]]))
    ours = loss(named, np.log(np.float32([[0.2, 0.7, 0.1]])))
    np.testing.assert_allclose(np.asarray(ours), np.asarray(plain), rtol=1e-5)


@pytest.mark.usefixtures("verified_here")
def test_fit_takes_them_in_and_the_card_says_so(places, tmp_path, monkeypatch, capsys):
    ours, theirs = places
    monkeypatch.setattr(residual, "RECIPE", JOINING)
    fit = ["fit", "residual", "--data", str(ours), "--runs", str(tmp_path / "runs")]
    fit += ["--cache", str(tmp_path / "cache"), "--precision", "float32"]
    out = tmp_path / "models" / "joined"
    more = ["--companion", str(theirs), "--normals", str(tmp_path / MASKS_ZIP)]
    assert main([*fit, *more, "--out", str(out)]) == 0, capsys.readouterr().err
    assert "joining in from" in capsys.readouterr().out
    document = json.loads((out / "bundle.json").read_text())
    first, second, third = document["training"]["data"]["companions"]
    assert first["infected"]
    assert list(first["radiographs"]) == ["bacterial_pneumonia"]
    assert not second["infected"]
    assert second["name"] == third["name"] == MASKS_ZIP
    assert list(third["radiographs"]) == [DRAWN]
    counted = document["training"]["data"]["radiographs"]["train"]
    assert "bacterial_pneumonia" not in counted  # they belong to none of its splits
    card = (out / "CARD.md").read_text()
    assert "shown as infected, without a name for the infection" in card
    assert "another quarter of the source was not shown" in card
    assert "with an opacity drawn into the lungs, shown as infected" in card

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.fit.train_members", cut_off)
    assert main([*fit, "--out", str(tmp_path / "models" / "alone")]) == 130
    assert "without both it will know fewer looks" in capsys.readouterr().out
    monkeypatch.setattr(residual, "RECIPE", TINY)
    assert main([*fit, *more, "--out", str(tmp_path / "models" / "none")]) == 1
    assert "would change nothing" in capsys.readouterr().err


def test_each_stage_is_given_its_own_share(places, tmp_path, monkeypatch):
    ours, theirs = places
    asked = []

    def noting(prepared, rows, companions):
        asked.append([(one.name, one.repeated) for one in companions])
        return joined(prepared, rows, companions)

    def cut_off(*_):  # after the last of the stages
        if len(asked) == 3:
            raise KeyboardInterrupt
        return Trained(None, 1, 1, 0.0)

    many = replace(STAGE, companions=2.0)
    stages = (many, replace(STAGE, companions=0.0), STAGE)
    monkeypatch.setattr(residual, "RECIPE", replace(TINY, stages=stages))
    monkeypatch.setattr(members, "joined", noting)
    monkeypatch.setattr(members, "train", cut_off)
    fit = ["fit", "residual", "--data", str(ours), "--runs", str(tmp_path / "runs")]
    fit += ["--cache", str(tmp_path / "cache"), "--precision", "float32"]
    fit += ["--companion", str(theirs), "--normals", str(tmp_path / MASKS_ZIP)]
    assert main([*fit, "--out", str(tmp_path / "models" / "joined")]) == 130
    most, none, few = (dict(stage) for stage in asked)
    assert none == {}
    assert set(most) == set(few) == {asked[0][0][0], MASKS_ZIP}
    assert asked[0][1][1] > asked[2][1][1] == 1
