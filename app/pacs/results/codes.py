"""The concepts that the results speak in: SNOMED CT, DICOM, and a few of our own."""

from __future__ import annotations

from highdicom.sr import CodedConcept

from cxr.calibrate import Decision
from cxr.findings import FindingClass

#: Designators that begin with 99 are private (PS3.3 §8.2).
PRIVATE = "99XRAY"


def snomed(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "SCT", meaning)


def dcm(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "DCM", meaning)


def own(value: str, meaning: str) -> CodedConcept:
    """A concept that no public scheme has, in the words of the contract."""
    return CodedConcept(value, PRIVATE, meaning)


PNEUMONIA = snomed("233604007", "Pneumonia")
PLAIN_CHEST_X_RAY = snomed("399208008", "Plain chest X-ray")
COMMENT = dcm("121106", "Comment")
PROBABILITY = dcm("122157", "Probability")

DECISION = own("decision", "Decision")
MOST_PROBABLE = own("most-probable", "Most probable class")
RULE_OUT = own("rule-out", "Threshold below which no sign is found")
RULE_IN = own("rule-in", "Threshold from which infection is called")
NOT_READ = own("not-read", "Not read")
WARNING = own("warning", "Warning")
REFUSAL = own("refusal", "Reason for not reading")

# "Not detected", never "absent": the model did not find it, which is all that can be said.
DECISIONS: dict[Decision, CodedConcept] = {
    "infected": snomed("260373001", "Detected"),
    "normal": snomed("260415000", "Not detected"),
    "uncertain": snomed("82334004", "Indeterminate"),
}

_FINDINGS = {
    "normal": snomed("17621005", "Normal"),
    "bacterial_pneumonia": snomed("53084003", "Bacterial pneumonia"),
    "viral_pneumonia": snomed("75570004", "Viral pneumonia"),
    "covid_19": snomed("840539006", "COVID-19"),
}


def finding(found: FindingClass) -> CodedConcept:
    """The SNOMED CT concept of a class; ours where the class has none."""
    return _FINDINGS.get(found.id) or own(found.id, found.label)


def reason(code: str) -> CodedConcept:
    """A warning's or refusal's stable code; ``low_resolution`` means ``Low resolution``."""
    return own(code, code.replace("_", " ").capitalize()[:64])
