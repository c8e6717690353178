"""Class, patient and official split, as the names of each known data set tell them."""

from __future__ import annotations

from collections import Counter

import pytest

from cxr.findings import (
    BACTERIAL_PNEUMONIA,
    COVID_19,
    LUNG_OPACITY,
    NORMAL,
    VIRAL_PNEUMONIA,
    FindingClass,
)
from tests.training.trees import covid_names, kermany_names
from training.errors import DataError
from training.layout import COVID, FOLDERS, KERMANY, canonical_order, read_layout

TUBERCULOSIS = FindingClass("tuberculosis", "Tuberculosis", infected=True)


def test_kermany_classes_come_from_file_names() -> None:
    name, films = read_layout(kermany_names())
    assert name == KERMANY
    assert [film.path for film in films] == kermany_names()
    for film in films:
        file = film.path.rsplit("/", 1)[1]
        germ = BACTERIAL_PNEUMONIA if "bacteria" in file else VIRAL_PNEUMONIA
        assert film.finding == (NORMAL if file.startswith("IM") else germ)


def test_a_kermany_patient_is_a_number_a_germ_and_a_side() -> None:
    patients = {film.path: film.patient for film in read_layout(kermany_names())[1]}
    folder = "chest_xray/{}/PNEUMONIA/person1_{}_0.jpeg"
    assert patients[folder.format("train", "bacteria")] == "train/person1_bacteria"
    assert patients[folder.format("train", "virus")] == "train/person1_virus"
    assert patients[folder.format("test", "bacteria")] == "test/person1_bacteria"
    assert patients[folder.format("val", "bacteria")] == "train/person1_bacteria"


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("IM-0115-0001", "IM-0115"),
        ("IM-0666-0001-0002", "IM-0666"),
        ("NORMAL2-IM-0383-0001", "NORMAL2-IM-0383"),
        ("NORMAL2-IM-1094-0001-0002", "NORMAL2-IM-1094"),
        ("NORMAL-1003233-0001", "NORMAL-1003233"),
    ],
)
def test_names_of_normal_children(name: str, patient: str) -> None:
    path = f"chest_xray/train/NORMAL/{name}.jpeg"
    *_, film = read_layout([*kermany_names(), path])[1]
    assert film.path == path
    assert film.patient == f"train/{patient}"


def test_kermany_as_mendeley_ships_it() -> None:
    name, films = read_layout(
        [
            f"chest_xray/train/{folder}/{kind}-{1000 + person}-000{image}.jpeg"
            for folder, kind in [
                ("NORMAL", "NORMAL"),
                ("PNEUMONIA", "BACTERIA"),
                ("PNEUMONIA", "VIRUS"),
            ]
            for person in range(12)
            for image in range(2)
        ]
    )
    assert name == KERMANY
    assert Counter(film.finding for film in films) == dict.fromkeys(
        (NORMAL, BACTERIAL_PNEUMONIA, VIRAL_PNEUMONIA), 24
    )
    assert len({film.patient for film in films}) == 36


def test_of_a_tree_that_is_there_twice_the_upper_one_counts() -> None:
    names = kermany_names()
    _, films = read_layout([*names, *(f"chest_xray/{name}" for name in names)])
    assert [film.path for film in films] == names


@pytest.mark.parametrize("part", ["train", "test"])
def test_one_folder_of_kermany_alone_names_no_official_split(part: str) -> None:
    top = f"chest_xray/{part}/"
    names = [name.removeprefix(top) for name in kermany_names() if name.startswith(top)]
    name, films = read_layout(names)
    assert name == KERMANY
    assert len(films) == len(names)
    assert {film.official_split for film in films} == {None}
    assert "person1_bacteria" in {film.patient for film in films}


@pytest.mark.parametrize(
    "classes",
    [
        {"COVID": COVID_19, "Normal": NORMAL},
        {"COVID": COVID_19, "Normal": NORMAL, "Viral Pneumonia": VIRAL_PNEUMONIA},
        {"Lung_Opacity": LUNG_OPACITY, "Normal": NORMAL},
    ],
    ids=lambda classes: "+".join(classes),
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_covid_set_whole_or_in_part(classes: dict[str, FindingClass], wrapped: bool) -> None:
    names = covid_names(tuple(classes))
    if not wrapped:
        names = [
            name.replace("COVID-19_Radiography_Dataset/", "").replace("/images/", "/")
            for name in names
        ]
    name, films = read_layout(names)
    assert name == COVID
    assert len(films) == len(names)
    assert Counter(film.finding for film in films) == dict.fromkeys(classes.values(), 20)
    # Its names know of no patient: each film is one.
    assert [film.patient for film in films] == names


def _own_names(*classes: str) -> list[str]:
    return [f"mine/{name}/{number}.jpg" for name in classes for number in range(20)]


def test_own_folders() -> None:
    names = _own_names("healthy", "tuberculosis", "Lung_Opacity")
    name, films = read_layout([*names, "mine/preview.png"])
    assert name == FOLDERS
    assert [film.path for film in films] == names
    assert Counter(film.finding for film in films) == dict.fromkeys(
        (NORMAL, TUBERCULOSIS, LUNG_OPACITY), 20
    )


def test_own_train_validation_and_test_folders_are_named() -> None:
    splits = ("Train", "Train", "Train", "valid", "testing")
    names = [
        name.replace("mine/", f"mine/{splits[number % 5]}/")
        for number, name in enumerate(_own_names("normal", "sick"))
    ]
    for film in read_layout(names)[1]:
        folder = film.path.split("/")[1]
        said = {"Train": "train", "valid": "validation", "testing": "test"}[folder]
        assert film.official_split == said


def test_a_folder_inside_a_class_is_a_patient() -> None:
    _, films = read_layout(
        [
            f"{name}/p{name}{patient}/{image}.jpg"
            for name in ("normal", "sick")
            for patient in range(15)
            for image in range(3)
        ]
    )
    patients = Counter(film.patient for film in films)
    assert len(patients) == 30
    assert set(patients.values()) == {3}


def test_a_patient_of_one_s_own_folders_is_one_on_either_side() -> None:
    names = [f"mine/{side}/sick/p7/{side}.jpg" for side in ("train", "test")]
    _, films = read_layout([*names, *_own_names("normal")])
    assert {film.patient for film in films if "p7" in film.path} == {"p7"}


@pytest.mark.parametrize(
    ("folders", "ids"),
    [
        (("TB", "tb"), {"tb"}),
        (("Pleural effusion", "pleural-effusion", "PLEURAL_EFFUSION"), {"pleural_effusion"}),
        (("Tüberkulose", "Tu\u0308berkulose"), {"tüberkulose"}),
        (("肺炎", "結核"), {"肺炎", "結核"}),
        (("Normal!",), {"normal"}),
    ],
)
def test_a_class_is_told_by_its_letters_in_whatever_script(folders, ids) -> None:
    _, films = read_layout(_own_names("Normal", *folders))
    classes = {film.finding for film in films} - {NORMAL}
    assert {finding.id for finding in classes} == ids - {"normal"}
    assert len(classes) == len(ids - {"normal"})


@pytest.mark.parametrize("folders", [("TB (new)", "TB new"), ("?", "!")])
def test_folders_that_would_be_one_class_are_refused(folders) -> None:
    with pytest.raises(DataError, match="would be one class"):
        read_layout(_own_names("Normal", *folders))


def test_classes_have_a_fixed_order_and_strangers_come_last() -> None:
    asthma = FindingClass("asthma", "Asthma", infected=True)
    given = [TUBERCULOSIS, COVID_19, asthma, NORMAL, COVID_19]
    assert canonical_order(given) == (NORMAL, COVID_19, asthma, TUBERCULOSIS)


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("TB", "TB"),
        ("tuberculosis", "Tuberculosis"),
        ("TUBERCULOSIS", "Tuberculosis"),
        ("Pleural_Effusion", "Pleural Effusion"),
        ("pleural-effusion", "Pleural effusion"),
    ],
)
def test_a_class_is_called_what_its_folder_is(folder, label):
    _, named = read_layout([f"films/{folder}/1.png", "films/Normal/1.png"])
    assert {one.finding.label for one in named} == {label, "Normal"}


@pytest.mark.parametrize(
    "name", ["No pneumonia", "no_tb", "Non-COVID", "Not infected", "WITHOUT TB"]
)
def test_a_folder_that_denies_a_finding_is_not_taken_for_one(name: str) -> None:
    with pytest.raises(DataError, match="call it 'Normal'") as refused:
        read_layout(_own_names("Normal", "Pneumonia", name))
    assert repr(name) in str(refused.value)


@pytest.mark.parametrize("name", ["No finding", "no_findings", "Healthy", "Negative"])
def test_names_of_films_without_a_finding(name: str) -> None:
    _, films = read_layout(_own_names(name, "Nocardia"))
    assert Counter(film.finding.infected for film in films) == {False: 20, True: 20}
