"""What a DICOM header says of the view and of the part of the body, in words or in codes."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

# PS3.16 CID 4010 in SNOMED CT, and in SNOMED RT as older devices write it.
_VIEW_CODES = {
    "399348003": "AP",
    "R-10206": "AP",
    "272479007": "PA",
    "R-40888": "PA",
    "399067008": "LATERAL",
    "R-102CD": "LATERAL",
    "399173006": "LL",
    "R-10236": "LL",
    "399198007": "RL",
    "R-10232": "RL",
}
# PS3.16 CID 4031: chest.
_REGION_CODES = {"816094009": "CHEST", "51185008": "CHEST", "T-D3000": "CHEST"}

# PA and AP as devices write them, with or without more ("AP SUPINE"), ...
_FRONTAL = re.compile(r"\b(?:PA|AP|P-A|A-P|FRONTAL|POSTERO-? ?ANTERIOR|ANTERO-? ?POSTERIOR)\b")
# ... unless the rest says otherwise ("PA OBLIQUE").
_NOT_FRONTAL = re.compile(r"\bLAT|\bOBL|DECUB")
# CHEST in the standard's list (PS3.16 CID 4031), and what devices write instead.
_CHEST_WORDS = ("CHEST", "THORAX", "LUNG", "TORAX", "TORACE", "PECHO", "POITRINE", "CXR")


def view_of(dataset: Dataset) -> str:
    """View Position, or what View Code Sequence means; upper case, "" where neither is there."""
    return word(dataset, "ViewPosition") or _coded(dataset, "ViewCodeSequence", _VIEW_CODES)


def body_part_of(dataset: Dataset) -> str:
    """Body Part Examined, or what Anatomic Region Sequence means; as ``view_of``."""
    named = word(dataset, "BodyPartExamined")
    return named or _coded(dataset, "AnatomicRegionSequence", _REGION_CODES)


def is_frontal(dataset: Dataset) -> bool | None:
    """Whether the view is PA or AP; None where the file does not say.

    Patient Orientation (PS3.3 §C.7.6.1.1.1) knows a lateral view too: its rows run to the front or
    to the back.
    """
    directions = dataset.get("PatientOrientation") or ("",)
    if str(directions[0]).strip().upper().startswith(("A", "P")):
        return False
    view = view_of(dataset).replace("_", " ")
    if not view:
        return None
    return bool(_FRONTAL.search(view)) and not _NOT_FRONTAL.search(view)


def is_chest(dataset: Dataset) -> bool | None:
    """Whether the part of the body is the chest; None where the file does not say."""
    part = body_part_of(dataset)
    return any(chest in part for chest in _CHEST_WORDS) if part else None


def word(dataset: Dataset, keyword: str) -> str:
    """The value of an element, upper case; "" where there is none."""
    return str(dataset.get(keyword) or "").strip().upper()


def _coded(dataset: Dataset, keyword: str, words: dict[str, str]) -> str:
    """What the codes name: of those unknown here what they mean, for a hand is not nothing."""
    items = dataset.get(keyword) or ()
    for item in items:
        known = words.get(word(item, "CodeValue"))
        if known:
            return known
    return "; ".join(filter(None, (_meaning(item) for item in items)))


def _meaning(item: Dataset) -> str:
    kinds = ("CodeMeaning", "CodeValue", "LongCodeValue", "URNCodeValue")
    return next(filter(None, (word(item, kind) for kind in kinds)), "")
