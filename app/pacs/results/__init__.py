"""A reading (or a refusal) as DICOM objects in the study of the film."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydicom.dataset import Dataset

from app.pacs.results.identity import Source, source_of
from app.pacs.results.template import encoded
from app.pacs.results.verdict import Refusal, Verdict
from app.reading import Reading

__all__ = ["Refusal", "Verdict", "objects_of"]


def objects_of(
    data: bytes, outcome: Reading | Refusal, when: datetime, kinds: Sequence[str]
) -> dict[str, bytes]:
    """The objects that go back, by kind, as PS3.10 files.

    Args:
        data: the film's file.
        outcome: a reading with its evidence, or why there is none: then there is a report
            alone, whatever ``kinds`` says, because a refusal must not be swallowed.
        when: when the film was received, in the time of the place unless it says its zone.
        kinds: some of ``report``, ``capture``, ``presentation``.
    """
    # Imported here: highdicom takes seconds, and the node must listen at once.
    from app.pacs.results.capture import capture
    from app.pacs.results.presentation import presentation
    from app.pacs.results.report import report

    source = source_of(data)
    if source.offset:  # beside the film's own times, whatever clock the node goes by
        zone = datetime.strptime(source.offset, "%z").tzinfo
        when = when.astimezone(zone).replace(tzinfo=None)
    verdict = Verdict(source.dataset, outcome, when)
    if isinstance(outcome, Refusal):
        return {"report": _file(report(verdict), verdict, source)}
    makers = {"report": report, "capture": capture, "presentation": presentation}
    return {kind: _file(makers[kind](verdict), verdict, source) for kind in kinds}


def _file(dataset: Dataset, verdict: Verdict, source: Source) -> bytes:
    # New elements: highdicom shares those it copies with the source, which stays nameless.
    for keyword, name in source.names.items():
        dataset.add_new(keyword, "PN", name)
    if source.offset:
        dataset.TimezoneOffsetFromUTC = source.offset
    # highdicom adds itself as equipment that contributed, now.
    for equipment in dataset.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = verdict.when.strftime("%Y%m%d%H%M%S")
    if "Modality" in dataset and dataset.Modality != "SR":
        dataset.Laterality = None
    return encoded(dataset)
