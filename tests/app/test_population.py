"""Whom a reading is for: which bundle reads, and when it says that nobody knows."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.population import describe, group_of
from app.presentation import WARNING_TITLES
from tests.app.asking import codes, dicom, post_file
from tests.app.conftest import ADULTS, CHILDREN
from tests.app.multipart import multipart


def test_the_default_bundle_reads_when_nothing_else_chooses_and_says_so(
    client: FlaskClient, jpeg: bytes
) -> None:
    for data in (jpeg, dicom(PatientAge="")):
        reading = post_file(client, data).get_json()
        assert reading["model"]["name"] == CHILDREN
        assert codes(reading) == ["patient_unknown"]
        assert "Children, 1 to 5 years" in reading["warnings"][0]["detail"]
        assert codes(post_file(client, data, f"?model={ADULTS}").get_json()) == []
        page = client.post("/", **multipart(data)).get_data(as_text=True)
        assert WARNING_TITLES["patient_unknown"].replace("'", "&#39;") in page


def test_one_group_alone_needs_no_word_of_the_patient(
    app: Flask, monkeypatch: pytest.MonkeyPatch, jpeg: bytes
) -> None:
    predictor = app.extensions["registry"].predictor
    monkeypatch.delitem(predictor.bundles, ADULTS)
    assert predictor.read(jpeg).warnings == ()
    # Nor does one beside it that states no ages: no age would choose it.
    ours = replace(predictor.bundles[CHILDREN], name="by-us", population={"label": "Any"})
    monkeypatch.setitem(predictor.bundles, "by-us", ours)
    assert predictor.read(jpeg).warnings == ()


@pytest.mark.parametrize(
    ("ages", "group"),
    [
        ({"min_age_years": 0, "max_age_years": 17}, "child"),
        ({"min_age_years": 0, "max_age_years": 18}, None),
        ({"min_age_years": 17}, None),
        ({"min_age_years": 18}, "adult"),
        ({}, None),
    ],
)
def test_a_bundle_for_both_sides_of_eighteen_is_for_neither_group(
    ages: dict, group: str | None
) -> None:
    assert group_of(ages) == group


def test_a_population_of_one_limit_is_said_in_words() -> None:
    assert describe({"max_age_years": 17}) == "Patients, up to 17 years"


@pytest.mark.parametrize(
    ("born", "expected"), [("19610713", ADULTS), ("20060301", CHILDREN), ("20060229", ADULTS)]
)
def test_without_an_age_the_dates_of_birth_and_study_choose_the_bundle(
    client: FlaskClient, born: str, expected: str
) -> None:
    film = dicom(PatientAge=None, PatientBirthDate=born, StudyDate="20240229")
    reading = post_file(client, film).get_json()
    assert reading["model"]["name"] == expected
    assert "patient_unknown" not in codes(reading)


@pytest.mark.parametrize(
    ("age", "expected"),
    [("004Y", CHILDREN), ("006M", CHILDREN), ("018Y", ADULTS), ("071Y", ADULTS)],
)
def test_the_age_in_a_dicom_file_chooses_the_bundle(
    client: FlaskClient, age: str, expected: str
) -> None:
    reading = post_file(client, dicom(PatientAge=age)).get_json()
    assert reading["model"]["name"] == expected


def test_no_age_chooses_a_bundle_that_states_none(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trained on own folders, whose name comes before the adults'."""
    predictor = app.extensions["registry"].predictor
    population = {"label": "As in the training data"}
    ours = replace(predictor.bundles[ADULTS], name="by-us", population=population)
    monkeypatch.setattr(predictor, "bundles", {"by-us": ours, **predictor.bundles})
    for age, expected in (("004Y", CHILDREN), ("071Y", ADULTS)):
        reading = post_file(client, dicom(PatientAge=age)).get_json()
        assert reading["model"]["name"] == expected
    reading = post_file(client, dicom(PatientAge="071Y"), "?model=by-us").get_json()
    assert (reading["model"]["name"], codes(reading)) == ("by-us", [])
    page = client.get("/").get_data(as_text=True)
    assert page.index(">Child<") < page.index(">Adult<") < page.index(f">{ours.title}<")
    assert "As in the training data, ages not stated" in page


@pytest.mark.parametrize("age", ["004Y", "071Y"])
def test_the_only_bundle_reads_whatever_the_age(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch, age: str
) -> None:
    predictor = app.extensions["registry"].predictor
    ours = replace(predictor.bundles[ADULTS], name="by-us", population={"label": "Any"})
    monkeypatch.setattr(predictor, "bundles", {"by-us": ours})
    monkeypatch.setattr(predictor, "default", ours)
    reading = post_file(client, dicom(PatientAge=age)).get_json()
    assert reading["model"]["name"] == "by-us"


@pytest.mark.parametrize(
    ("age", "model", "words"),
    [
        ("071Y", CHILDREN, "71 years"),
        ("006Y", CHILDREN, "6 years"),
        ("011M", CHILDREN, "11 months"),
        ("017Y", ADULTS, "17 years"),
        ("018M", ADULTS, "18 months"),
        ("001M", ADULTS, "1 month"),
    ],
)
def test_a_named_bundle_wins_over_the_age_and_warns(
    client: FlaskClient, age: str, model: str, words: str
) -> None:
    reading = post_file(client, dicom(PatientAge=age), f"?model={model}").get_json()
    assert reading["model"]["name"] == model
    assert codes(reading) == ["age_outside_population"]
    made_for = {CHILDREN: "1 to 5 years", ADULTS: "18 years and older"}[model]
    assert f"is {words} old" in reading["warnings"][0]["detail"]
    assert f"made for {made_for}." in reading["warnings"][0]["detail"]


@pytest.mark.parametrize("age", ["001Y", "005Y", "070M"])
def test_no_warning_about_an_age_inside_the_population(client: FlaskClient, age: str) -> None:
    reading = post_file(client, dicom(PatientAge=age), f"?model={CHILDREN}").get_json()
    assert codes(reading) == []
