"""Which films are for us, and who reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from app.pacs.routing import MalformedObjectError, Route, Router, read_header
from app.pacs.settings import PacsSettings
from tests.pacs.films import encode, film


def route(settings: PacsSettings | None = None, **fields: Any) -> Route:
    router = Router(settings or PacsSettings(), child="for-children", adult="for-adults")
    return router.route(read_header(encode(film(**fields))))


def coded(code: str, meaning: str = "any") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", meaning
    return [item]


HAND = coded("85562004", "Hand")
LONG_CODE = Dataset()
LONG_CODE.LongCodeValue = "85562004-85562004-85562004"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"SOPClassUID": CTImageStorage}, "sop_class"),
        ({"SOPClassUID": DigitalMammographyXRayImageStorageForPresentation}, "sop_class"),
        ({"Modality": "RG"}, "modality"),
        ({"BodyPartExamined": "HAND"}, "body_part"),
        ({"ViewPosition": "LL"}, "view"),
        ({"ViewPosition": "PA OBLIQUE"}, "view"),
        ({"ViewPosition": "", "ViewCodeSequence": coded("399067008")}, "view"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": HAND}, "body_part"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": coded("85562004", "")}, "body_part"),
        ({"BodyPartExamined": None, "AnatomicRegionSequence": [LONG_CODE]}, "body_part"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("399260004", "Medio-lateral")}, "view"),
        ({"ViewPosition": None, "ViewCodeSequence": coded("399260004", "")}, "view"),
    ],
)
def test_what_is_not_for_us_is_dropped_with_its_reason(fields: Any, reason: str) -> None:
    assert route(**fields) == Route(dropped=reason)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"digital": True},
        {"digital": True, "SOPClassUID": DigitalXRayImageStorageForProcessing},
        {"BodyPartExamined": "THORAX AP"},
        {"BodyPartExamined": None, "AnatomicRegionSequence": coded("816094009")},
        # A code of the hospital's own says it in words, as Body Part Examined does.
        {"BodyPartExamined": None, "AnatomicRegionSequence": coded("TX1", "Chest wall")},
        {"BodyPartExamined": None, "AnatomicRegionSequence": [Dataset()]},
        {"BodyPartExamined": None},
        {"ViewPosition": None},
        {"ViewPosition": None, "ViewCodeSequence": coded("V1", "PA")},
        {"ViewPosition": "", "ViewCodeSequence": coded("272479007")},
    ],
)
def test_frontal_chests_are_read(fields: Any) -> None:
    assert route(**fields) == Route(bundle="for-adults")


def test_films_that_say_nothing_can_be_left_out() -> None:
    strict = replace(PacsSettings(), body_parts=("CHEST",), views=("PA",))
    assert route(strict, BodyPartExamined=None).dropped == "body_part"
    assert route(strict, ViewPosition=None).dropped == "view"
    assert route(strict, ViewPosition="AP").dropped == "view"
    assert route(strict).bundle == "for-adults"


@pytest.mark.parametrize(
    ("fields", "bundle"),
    [
        ({"PatientAge": "004Y"}, "for-children"),
        ({"PatientAge": "018M"}, "for-children"),
        ({"PatientAge": "017Y"}, "for-children"),
        ({"PatientAge": "018Y"}, "for-adults"),
        ({"PatientAge": None}, "for-adults"),  # born in 1961
        ({"PatientAge": "", "PatientBirthDate": "20080103"}, "for-children"),  # 18 tomorrow
        ({"PatientAge": "", "PatientBirthDate": "20080102"}, "for-adults"),  # 18 today
        ({"PatientAge": "", "PatientBirthDate": ""}, None),
        ({"PatientAge": "", "PatientBirthDate": "18990101"}, None),
        ({"PatientAge": "", "PatientBirthDate": "20300101"}, None),
    ],
)
def test_the_age_chooses_the_bundle(fields: Any, bundle: str | None) -> None:
    assert route(**fields) == Route(bundle=bundle)


@pytest.mark.parametrize(("child", "adult"), [("for-children", ""), ("", "for-adults")])
def test_nobody_is_read_by_the_other_groups_bundle(child: str, adult: str) -> None:
    router = Router(PacsSettings(), child, adult)
    for age, bundle in (("004Y", child), ("071Y", adult)):
        assert router.route(read_header(encode(film(PatientAge=age)))) == Route(
            bundle=bundle or None
        )


def test_bundles_can_be_set() -> None:
    chosen = replace(PacsSettings(), child_bundle="one", adult_bundle="two", ageless_bundle="three")
    assert route(chosen, PatientAge="003Y").bundle == "one"
    assert route(chosen).bundle == "two"
    assert route(chosen, PatientAge="", PatientBirthDate="").bundle == "three"


@pytest.mark.parametrize(
    "keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"]
)
def test_an_object_that_does_not_say_which_one_it_is_is_malformed(keyword: str) -> None:
    dataset = film()
    data = encode(dataset)
    uid = str(dataset[keyword].value).encode()
    with pytest.raises(MalformedObjectError):
        read_header(data.replace(uid, b"\0" * len(uid)))


@pytest.mark.parametrize("data", [b"", b"nonsense" * 50, bytes(132), b"\0" * 128 + b"DICM"])
def test_bytes_that_are_no_object_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedObjectError):
        read_header(data)
