"""The reading as a structured report: TID 1500 with TID 4019, unverified (PS3.16 §A)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DS

from app.pacs.results import codes as ours
from app.pacs.results.identity import derived_uid
from app.pacs.results.template import blank_source, decoded, encoded, fill_header
from app.pacs.results.verdict import PRODUCT, UNVERIFIED, Refusal, Verdict
from app.presentation import DECISION_ADVICE
from app.reading import NOTICE, Reading

SERIES_NUMBER = 9901
_NO_UNITS = CodedConcept("1", "UCUM", "no units")
#: Where in a measurement group the items stand that differ from film to film, by their code.
_TRACKING_TEXT, _TRACKING_UID, _SOURCE = "112039", "112040", "121112"


@dataclass(frozen=True)
class _Wording:
    """What a report says beside identity and probability; reports that say it are alike.

    Attributes:
        outcome: one that says it, without its film.
    """

    said: tuple[object, ...]
    outcome: Reading | Refusal = field(compare=False, repr=False)

    @classmethod
    def of(cls, outcome: Reading | Refusal) -> _Wording:
        if isinstance(outcome, Refusal):
            return cls((outcome.code, outcome.detail), outcome)
        bundle, thresholds = outcome.bundle, outcome.bundle.thresholds
        said = (
            *(bundle.name, bundle.version, bundle.sha256),
            *(thresholds.rule_out, thresholds.rule_in),
            *(outcome.decision, outcome.finding, outcome.warnings),
        )
        return cls(said, replace(outcome, infection_probability=0.5, evidence=None))


def report(verdict: Verdict) -> Dataset:
    """The report of a reading, or of a refusal."""
    outcome, source = verdict.outcome, verdict.source
    template, places = _template(_Wording.of(outcome))
    document = decoded(template)
    fill_header(document, verdict, "report")
    evidence = document.CurrentRequestedProcedureEvidenceSequence[0]
    evidence.StudyInstanceUID = source.StudyInstanceUID
    series = evidence.ReferencedSeriesSequence[0]
    series.SeriesInstanceUID = source.SeriesInstanceUID
    items = document.ContentSequence[-1].ContentSequence[0].ContentSequence
    items[places[_TRACKING_TEXT]].TextValue, items[places[_TRACKING_UID]].UID = _tracking(verdict)
    for item in (series, items[places[_SOURCE]]):
        item.ReferencedSOPSequence[0].ReferencedSOPClassUID = source.SOPClassUID
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = source.SOPInstanceUID
    if isinstance(outcome, Reading):
        value = round(outcome.infection_probability, 6)
        measured = items[places[ours.PROBABILITY.value]].MeasuredValueSequence[0]
        measured.FloatingPointValue = value
        measured.NumericValue = DS(value, auto_format=True)
    return document


@lru_cache(maxsize=64)
def _template(wording: _Wording) -> tuple[bytes, dict[str, int]]:
    """A report of that wording, a PS3.10 file, and the places in its group by their codes."""
    document = build(Verdict(blank_source(), wording.outcome, datetime(2000, 1, 1)))
    items = document.ContentSequence[-1].ContentSequence[0].ContentSequence
    places = {item.ConceptNameCodeSequence[0].get("CodeValue"): n for n, item in enumerate(items)}
    return encoded(document), places


def build(verdict: Verdict) -> ComprehensiveSR:
    """The report, made from nothing: valid because highdicom made it, and slow."""
    outcome, source = verdict.outcome, verdict.source
    group = (
        _of_reading(verdict, outcome)
        if isinstance(outcome, Reading)
        else _of_refusal(verdict, outcome)
    )
    content = MeasurementReport(
        observation_context=ObservationContext(
            observer_device_context=ObserverContext(
                observer_type=codes.DCM.Device,
                observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                    uid=derived_uid(PRODUCT, verdict.weights),
                    name=verdict.software,
                    manufacturer_name=PRODUCT,
                    model_name=PRODUCT,
                ),
            )
        ),
        procedure_reported=ours.PLAIN_CHEST_X_RAY,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    document = ComprehensiveSR(
        evidence=[source],
        content=content[0],
        series_instance_uid=verdict.series_uid("report"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=verdict.instance_uid("report"),
        instance_number=verdict.instance_number,
        manufacturer=PRODUCT,
        manufacturer_model_name=PRODUCT,
        software_versions=verdict.software,
        series_description=UNVERIFIED,
        is_complete=True,
        is_final=False,
        is_verified=False,
        content_date=verdict.when.date(),
        content_time=verdict.when.time(),
        specific_character_set="ISO_IR 192",
    )
    document.InstanceCreationDate = document.ContentDate
    document.InstanceCreationTime = document.ContentTime
    return document


def _tracking(verdict: Verdict) -> tuple[str, str]:
    """The identifier that people see, and the unique one."""
    uid = verdict.instance_uid("tracking")
    return f"Reading {uid[-12:]}", uid


def _tracking_identifier(verdict: Verdict) -> TrackingIdentifier:
    identifier, uid = _tracking(verdict)
    return TrackingIdentifier(uid=uid, identifier=identifier)


def _source_image(verdict: Verdict) -> SourceImageForMeasurementGroup:
    source = verdict.source
    return SourceImageForMeasurementGroup(
        referenced_sop_class_uid=source.SOPClassUID,
        referenced_sop_instance_uid=source.SOPInstanceUID,
    )


def _of_reading(verdict: Verdict, reading: Reading) -> MeasurementsAndQualitativeEvaluations:
    bundle = reading.bundle
    by_label = {found.label: found for found in bundle.classes}
    evaluations = [
        QualitativeEvaluation(ours.DECISION, ours.DECISIONS[reading.decision]),
        QualitativeEvaluation(ours.MOST_PROBABLE, ours.finding(by_label[reading.finding])),
        *(
            QualitativeEvaluation(ours.WARNING, ours.reason(warning.code))
            for warning in reading.warnings
        ),
    ]
    algorithm = AlgorithmIdentification(
        name=bundle.name,
        version=bundle.version,
        parameters=[f"sha256 of the weights: {bundle.sha256}"],
        manufacturer=PRODUCT,
    )
    values = (
        (ours.PROBABILITY, reading.infection_probability),
        (ours.RULE_OUT, bundle.thresholds.rule_out),
        (ours.RULE_IN, bundle.thresholds.rule_in),
    )
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking_identifier(verdict),
        finding_type=ours.PNEUMONIA,
        algorithm_id=algorithm,
        measurements=[
            Measurement(name=name, value=round(value, 6), unit=_NO_UNITS) for name, value in values
        ],
        qualitative_evaluations=evaluations,
        source_images=[_source_image(verdict)],
    )
    _add_comments(
        group,
        DECISION_ADVICE[reading.decision],
        *(warning.detail for warning in reading.warnings),
        NOTICE,
    )
    return group


def _of_refusal(verdict: Verdict, refusal: Refusal) -> MeasurementsAndQualitativeEvaluations:
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking_identifier(verdict),
        qualitative_evaluations=[
            QualitativeEvaluation(ours.DECISION, ours.NOT_READ),
            QualitativeEvaluation(ours.REFUSAL, ours.reason(refusal.code)),
        ],
        source_images=[_source_image(verdict)],
    )
    _add_comments(group, refusal.detail, NOTICE)
    return group


def _add_comments(group: MeasurementsAndQualitativeEvaluations, *texts: str) -> None:
    """Text beside the measurements (TID 1501 row 1 is a container that may be extended)."""
    for text in texts:
        group[0].ContentSequence.append(
            TextContentItem(
                name=ours.COMMENT,
                value=text,
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
        )
