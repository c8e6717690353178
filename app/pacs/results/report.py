"""The reading as a structured report: TID 1500 with TID 4019, unverified (PS3.16 §A)."""

from __future__ import annotations

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
from pydicom.sr.codedict import codes

from app.pacs.results import codes as ours
from app.pacs.results.identity import derived_uid
from app.pacs.results.verdict import PRODUCT, Refusal, Verdict
from app.predictor import NOTICE, Reading

SERIES_NUMBER = 9901
_NO_UNITS = CodedConcept("1", "UCUM", "no units")
_ADVICE = {
    "infected": "Above the level from which infection is called. A clinician must confirm it.",
    "normal": "Below the level under which the model finds no sign. That does not rule out "
    "illness, and other conditions were not looked for.",
    "uncertain": "Between the two levels: the model cannot tell. A radiologist should read "
    "this film.",
}


def report(verdict: Verdict) -> ComprehensiveSR:
    """The report of a reading, or of a refusal."""
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
        series_description="Reading by software, unverified",
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


def _tracking(verdict: Verdict) -> TrackingIdentifier:
    uid = verdict.instance_uid("tracking")
    return TrackingIdentifier(uid=uid, identifier=f"Reading {uid[-12:]}")


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
            QualitativeEvaluation(ours.WARNING, ours.reason(warning.code, _words(warning.code)))
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
        tracking_identifier=_tracking(verdict),
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
        _ADVICE[reading.decision],
        *(warning.detail for warning in reading.warnings),
        NOTICE,
    )
    return group


def _of_refusal(verdict: Verdict, refusal: Refusal) -> MeasurementsAndQualitativeEvaluations:
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(verdict),
        qualitative_evaluations=[
            QualitativeEvaluation(ours.DECISION, ours.NOT_READ),
            QualitativeEvaluation(ours.REFUSAL, ours.reason(refusal.code, _words(refusal.code))),
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


def _words(code: str) -> str:
    """``low_resolution`` → ``Low resolution``: a code's meaning in words."""
    return code.replace("_", " ").capitalize()[:64]
