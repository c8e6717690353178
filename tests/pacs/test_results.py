"""The objects that go back: valid, about the right study, the same every time, honest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.pacs.reader import Task, read_film
from app.pacs.results import Refusal, objects_of
from app.pacs.results.capture import words
from app.pacs.results.identity import derived_uid, source_of
from app.pacs.results.presentation import outlines
from app.pacs.results.report import build, report
from app.pacs.results.template import encoded
from app.pacs.results.verdict import Verdict
from app.pacs.settings import RESULTS
from app.predictor import Predictor
from app.presentation import DECISION_ADVICE
from app.reading import NOTICE, Reading
from cxr.radiograph import Limits
from tests.pacs.fakes import ADULTS, FakeBundle
from tests.pacs.films import encode, film
from tests.pacs.orthanc import validation_errors

WHEN = datetime(2026, 1, 2, 3, 4, 5)


def read(data: bytes, infection: float = 0.83) -> Reading:
    bundles: Any = {"for-adults": FakeBundle("for-adults", ADULTS, infection=infection)}
    return Predictor(bundles, Limits()).read(data, "for-adults", with_evidence=True)


def results(dataset: Dataset, infection: float = 0.83) -> dict[str, Dataset]:
    data = encode(dataset)
    objects = objects_of(data, read(data, infection), WHEN, RESULTS)
    return {kind: dcmread(BytesIO(file)) for kind, file in objects.items()}


def texts(report: Dataset) -> str:
    """Every value in the report and all that is in it."""
    return "\n".join(str(element.value) for element in report.iterall())


@pytest.mark.parametrize("infection", [0.05, 0.4, 0.83])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"inverted": True},
        {"digital": True},
        # What devices write in practice.
        {"PatientSex": "female", "StudyDate": "2026-01-02", "PatientAge": "64"},
        {"StudyTime": "99", "AccessionNumber": "A" * 40, "InstanceNumber": 0},
        {"PatientName": "山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
        {"StudyID": None, "ReferringPhysicianName": None, "WindowCenter": None},
        {"WindowCenter": [2048, 1000], "WindowWidth": [4096, 500]},
        {"RescaleSlope": 1, "RescaleIntercept": 0, "RescaleType": "US"},
        {"ViewPosition": "LL"},
        {"AccessionNumber": ["A1", "B2"], "StudyID": ["1", "2"], "StudyDescription": ["a", "b"]},
    ],
    ids=lambda fields: ",".join(fields) if isinstance(fields, dict) else str(fields),
)
def test_every_object_is_valid(fields: Any, infection: float, tmp_path: Path) -> None:
    for kind, dataset in results(film(**fields), infection).items():
        buffer = BytesIO()
        dataset.save_as(buffer)
        assert validation_errors(buffer.getvalue(), tmp_path) == [], kind


def test_they_belong_to_the_films_study_and_patient() -> None:
    source = film(PatientName="山田^太郎", SpecificCharacterSet="ISO_IR 192")
    for dataset in results(source).values():
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID"):
            assert dataset[keyword].value == source[keyword].value
        assert dataset.AccessionNumber == source.AccessionNumber
        assert str(source.SOPInstanceUID) in str(dataset)
    series = {dataset.SeriesInstanceUID for dataset in results(source).values()}
    assert len(series | {source.SeriesInstanceUID}) == 4


@pytest.mark.parametrize("refused", [False, True])
def test_their_times_are_in_the_zone_of_the_films(refused: bool, tmp_path: Path) -> None:
    """A node that goes by UTC reported on the day before the study."""
    received = datetime(2026, 3, 10, 23, 5, tzinfo=UTC)
    dates = ("InstanceCreationDate", "ContentDate", "PresentationCreationDate")
    times = ("InstanceCreationTime", "ContentTime", "PresentationCreationTime")
    data = encode(film(StudyDate="20260311", StudyTime="080000", TimezoneOffsetFromUTC="+0900"))
    outcome = Refusal("not_a_chest_xray", "A hand.") if refused else read(data)
    for file in objects_of(data, outcome, received, RESULTS).values():
        dataset = dcmread(BytesIO(file))
        assert dataset.TimezoneOffsetFromUTC == "+0900"
        assert {dataset[name].value for name in dates if name in dataset} == {"20260311"}
        assert {str(dataset[name].value)[:6] for name in times if name in dataset} == {"080500"}
        assert validation_errors(file, tmp_path) == []


@pytest.mark.parametrize("offset", [None, "", "UTC", "+9", "+0960", "+1500"])
def test_without_a_zone_times_are_those_of_the_place(offset: str | None) -> None:
    fields: Any = {} if offset is None else {"TimezoneOffsetFromUTC": offset}
    for dataset in results(film(**fields)).values():
        assert "TimezoneOffsetFromUTC" not in dataset
        assert dataset.InstanceCreationTime == WHEN.strftime("%H%M%S")


def test_of_several_values_where_one_belongs_none_is_copied() -> None:
    source = film(AccessionNumber=["A1", "B2"], StudyDescription=["Thorax", "ap"], StudyID="7")
    for dataset in results(source).values():
        assert (dataset.AccessionNumber, dataset.StudyID) == ("", "7")
        assert "StudyDescription" not in dataset


def test_the_same_film_makes_the_same_objects_byte_for_byte() -> None:
    data = encode(film())
    first = objects_of(data, read(data), WHEN, RESULTS)
    assert objects_of(data, read(data), WHEN, RESULTS) == first


@pytest.mark.parametrize("infection", [0.05, 0.4, 0.83, None])
@pytest.mark.parametrize(
    "fields",
    [
        {"digital": True, "PatientName": "山田^太郎", "SpecificCharacterSet": "ISO_IR 192"},
        {"ViewPosition": "LL", "StudyDescription": "Thorax", "InstanceNumber": 5},
        {"PatientAge": None, "StudyDate": "", "PatientID": ""},
    ],
    ids=lambda fields: ",".join(fields),
)
def test_a_report_filled_in_is_the_report_that_highdicom_makes(
    fields: Any, infection: float | None
) -> None:
    data = encode(film(**fields))
    outcome = read(data, infection) if infection else Refusal("not_a_chest_xray", "A hand.")
    verdict = Verdict(source_of(data).dataset, outcome, WHEN)
    made, filled = build(verdict), report(verdict)
    for dataset in (made, filled):
        dataset.ContributingEquipmentSequence[0].ContributionDateTime = ""  # it says now
    assert encoded(filled) == encoded(made)


def test_other_weights_make_other_objects_of_the_same_film() -> None:
    data = encode(film())
    reading = read(data)
    newer: Any = replace(reading.bundle, version="2.0.0")  # type: ignore[type-var]
    for kind in RESULTS:
        old = dcmread(BytesIO(objects_of(data, reading, WHEN, [kind])[kind]))
        other = replace(reading, bundle=newer)
        new = dcmread(BytesIO(objects_of(data, other, WHEN, [kind])[kind]))
        assert old.SOPInstanceUID != new.SOPInstanceUID
        assert old.SeriesInstanceUID != new.SeriesInstanceUID


def test_results_of_films_with_the_same_number_have_others_in_their_series() -> None:
    study: Any = {"StudyInstanceUID": film().StudyInstanceUID}
    films = [film(**study, InstanceNumber=number) for number in (1, 1, 2, None, 2**31 - 1)]
    numbers = [results(each)["report"].InstanceNumber for each in films]
    assert len(set(numbers)) == len(films)
    assert max(numbers[:2]) < numbers[2] < numbers[4] < 2**31


def test_what_is_said_otherwise_has_another_uid() -> None:
    data = encode(film())
    later = WHEN.replace(second=6)
    refusals = [Refusal(code, "No.") for code in ("age_unknown", "internal_error")]
    said = [(read(data), WHEN), (read(data), later), *((each, WHEN) for each in refusals)]
    made = [dcmread(BytesIO(objects_of(data, *each, ["report"])["report"])) for each in said]
    assert len({report.SOPInstanceUID for report in made}) == 4
    assert len({report.SeriesInstanceUID for report in made}) == 2  # that of the weights, or none


def test_uids_are_valid_and_depend_on_every_part() -> None:
    uids = {derived_uid("1.2", "ab", kind) for kind in RESULTS} | {derived_uid("1.2a", "b")}
    assert len(uids) == 4
    for uid in uids:
        assert hd.UID(uid).is_valid
        assert len(uid) <= 64


def test_the_report_says_what_was_read_by_what_and_how_sure() -> None:
    reading = read(encode(film(ViewPosition="LL")))
    data = encode(film(ViewPosition="LL"))
    file = objects_of(data, reading, WHEN, ["report"])["report"]
    report = hd.sr.srread(BytesIO(file))
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    (group,) = report.content.get_image_measurement_groups()
    assert group.finding_type.value == "233604007"
    assert group.tracking_identifier.startswith("Reading ")
    values = {item.name.value: item.value for item in group.get_measurements()}
    assert values == {
        "122157": pytest.approx(0.83),
        "rule-out": pytest.approx(0.2),
        "rule-in": pytest.approx(0.6),
    }
    coded = [(item.name.value, item.value.value) for item in group.get_qualitative_evaluations()]
    assert ("decision", "260373001") in coded
    assert ("most-probable", "53084003") in coded
    assert ("warning", "view_outside_population") in coded
    text = texts(report)
    assert reading.bundle.sha256 in text
    assert reading.bundle.version in text
    assert NOTICE in text
    assert DECISION_ADVICE["infected"] in text


@pytest.mark.parametrize(
    ("infection", "decision"), [(0.05, "260415000"), (0.4, "82334004"), (0.83, "260373001")]
)
def test_decisions_are_coded_and_nothing_says_healthy(infection: float, decision: str) -> None:
    data = encode(film())
    reading = read(data, infection)
    for dataset in results(film(), infection).values():
        assert "healthy" not in str(dataset).lower()
    file = objects_of(data, reading, WHEN, ["report"])["report"]
    assert decision in texts(dcmread(BytesIO(file)))
    assert NOTICE in " ".join(words(reading))


def test_a_refusal_is_reported_and_has_no_picture(tmp_path: Path) -> None:
    data = encode(film())
    objects = objects_of(data, Refusal("not_a_chest_xray", "This is a hand."), WHEN, ["capture"])
    assert list(objects) == ["report"]
    assert validation_errors(objects["report"], tmp_path) == []
    text = texts(dcmread(BytesIO(objects["report"])))
    assert "not_a_chest_xray" in text
    assert "This is a hand." in text
    assert "Probability" not in text


def test_the_capture_is_flagged_and_carries_its_words() -> None:
    capture = results(film())["capture"]
    assert list(capture.ImageType) == ["DERIVED", "SECONDARY"]
    assert capture.BurnedInAnnotation == "YES"
    pixels = capture.pixel_array
    assert pixels.shape[1:] == (1024, 3)
    band = pixels[1024:]
    assert 0.01 < (band > 180).mean() < 0.3  # white words on black
    film_part = pixels[:1024].astype(int)
    coloured = np.abs(film_part[..., 0] - film_part[..., 2]).max(axis=(0, 1))
    assert coloured > 60  # the activation map


def test_a_film_called_normal_goes_back_without_a_map(tmp_path: Path) -> None:
    """As the page has it: no hot spot is burnt into a film of which nothing is to be told."""
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(film()))
    for infection, shown in ((0.05, False), (0.4, True)):
        bundles: Any = {"for-adults": FakeBundle("for-adults", ADULTS, infection=infection)}
        task = Task(path, "for-adults", 0.0, RESULTS)
        files = read_film(Predictor(bundles, Limits()), task).objects
        objects = {kind: dcmread(BytesIO(file)) for kind, file in files.items()}
        capture = objects["capture"]
        pixels = capture.pixel_array[:1024].astype(int)
        assert (np.abs(pixels[..., 0] - pixels[..., 2]).max() > 10) == shown
        assert ("activation map" in capture.DerivationDescription) == shown
        (annotation,) = objects["presentation"].GraphicAnnotationSequence
        assert ("GraphicObjectSequence" in annotation) == shown
        assert annotation.TextObjectSequence
        for kind, file in files.items():
            assert validation_errors(file, tmp_path) == [], kind


def test_the_last_line_speaks_of_colours_where_there_are_some() -> None:
    reading = read(encode(film()))
    assert "Colours: what spoke for infection" in words(reading)[-1]
    assert reading.evidence is not None
    plain = replace(reading.evidence, activation=np.zeros((1, 1), np.float32))
    assert words(replace(reading, evidence=plain))[-1] == NOTICE


def test_the_presentation_state_shows_the_film_itself() -> None:
    for inverted, shape in ((False, "IDENTITY"), (True, "INVERSE")):
        source = film(inverted=inverted)
        state = results(source)["presentation"]
        assert state.PresentationLUTShape == shape
        (annotation,) = state.GraphicAnnotationSequence
        reference = annotation.ReferencedImageSequence[0]
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
        for outline in annotation.GraphicObjectSequence:
            points = np.array(outline.GraphicData).reshape(-1, 2)
            assert points.min() >= 0
            assert points.max() <= 256
            assert points[0].tolist() == points[-1].tolist()
        assert "Signs of infection" in annotation.TextObjectSequence[0].UnformattedTextValue


def test_the_presentation_state_shows_pixels_as_high_and_wide_as_the_film_says(
    tmp_path: Path,
) -> None:
    fields: Any
    for fields, spacing, ratio in (
        ({}, None, [1, 1]),
        ({"PixelAspectRatio": [2, 1]}, None, [2, 1]),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, [0.2, 0.1], None),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.18, 0.09]}, [0.18, 0.09], None),
        ({"PixelSpacing": [0, 0]}, None, [1, 1]),
    ):
        state = results(film(**fields))["presentation"]
        (area,) = state.DisplayedAreaSelectionSequence
        assert area.get("PresentationPixelSpacing") == spacing
        assert area.get("PresentationPixelAspectRatio") == ratio
        assert validation_errors(encode(state), tmp_path) == []


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize(
    ("syntax", "representation"),
    [
        (ExplicitVRLittleEndian, "US"),
        (ExplicitVRLittleEndian, "OW"),
        (ImplicitVRLittleEndian, "OW"),
        (ExplicitVRBigEndian, "US"),
        (ExplicitVRBigEndian, "OW"),
    ],
)
def test_the_presentation_state_has_the_films_table(
    syntax: Any, representation: str, windowed: bool, tmp_path: Path
) -> None:
    """However its numbers are written, and whatever windows there are beside it."""
    entries = np.linspace(0, 4095, 256).astype(np.uint16)
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 12])
    order = "<u2" if syntax.is_little_endian else ">u2"
    data = entries.tolist() if representation == "US" else entries.astype(order).tobytes()
    table.add_new("LUTData", representation, data)
    source = film(syntax=syntax, VOILUTSequence=[table])
    if not syntax.is_little_endian:
        source.PixelData = np.frombuffer(source.PixelData, "<u2").astype(">u2").tobytes()
    if not windowed:
        del source.WindowCenter, source.WindowWidth
    state = results(source)["presentation"]
    (shown,) = state.SoftcopyVOILUTSequence
    assert "WindowCenter" not in shown
    (found,) = shown.VOILUTSequence
    assert found.LUTDescriptor == [256, 0, 16]
    shades = np.frombuffer(found.LUTData, "<u2") / 65535
    assert shades == pytest.approx(entries / 4095, abs=1e-5)
    assert validation_errors(encode(state), tmp_path) == []


def test_a_table_that_cannot_be_used_leaves_the_window() -> None:
    state = results(film(VOILUTSequence=[Dataset()]))["presentation"]
    assert state.SoftcopyVOILUTSequence[0].WindowCenter == 2048


def test_an_outline_runs_through_the_middle_of_the_cells_it_encloses() -> None:
    """Their grid is 256 × 256; the film's first pixel begins at (0, 0) (PS3.3 Table C.10-5)."""
    (points,) = outlines(np.ones((5, 5), np.float32), 1024, 512)
    assert points.min(axis=0).tolist() == [2.0, 1.0]
    assert points.max(axis=0).tolist() == [1022.0, 511.0]


def test_outlines_lie_where_the_heatmap_does() -> None:
    """Both are moved by as much as the network looks beside its own grid."""
    data = encode(film())
    middles = []
    for offset in ((0.0, 0.0), (0.2, -0.1)):
        bundle = FakeBundle("for-adults", ADULTS, infection=0.83, map_offset=offset)
        bundles: Any = {"for-adults": bundle}
        reading = Predictor(bundles, Limits()).read(data, "for-adults", with_evidence=True)
        file = objects_of(data, reading, WHEN, ["presentation"])["presentation"]
        (annotation,) = dcmread(BytesIO(file)).GraphicAnnotationSequence
        (outline,) = annotation.GraphicObjectSequence
        middles.append(np.array(outline.GraphicData).reshape(-1, 2).mean(axis=0))
    right, down = (middles[1] - middles[0]) / 256
    assert (down, right) == pytest.approx((0.2, -0.1), abs=0.02)


def test_outlines_lie_where_the_evidence_is() -> None:
    activation = np.zeros((5, 5), np.float32)
    activation[1, 3] = 1.0
    (points,) = outlines(activation, 1000, 500)
    centre = points.mean(axis=0)
    assert centre == pytest.approx([700, 150], abs=25)
    assert outlines(np.zeros((5, 5), np.float32), 1000, 500) == []
