"""What the names say: class, patient and official split of every radiograph.

Three layouts are known. Kermany's (Kaggle "chest-xray-pneumonia", Mendeley
10.17632/rscbjbr9sj) tells bacterial from viral, and the patient, by file name. The
COVID-19 Radiography Database has a folder for each class and no patient anywhere. Any
other tree is ``[split/]class[/patient]/image``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from unicodedata import normalize

from cxr.findings import (
    BACTERIAL_PNEUMONIA,
    CANONICAL_FINDINGS,
    COVID_19,
    LUNG_OPACITY,
    NORMAL,
    VIRAL_PNEUMONIA,
    FindingClass,
)
from training.errors import DataError

KERMANY = "kermany-chest-xray"
COVID = "covid19-radiography-database"
FOLDERS = "folders"

#: The zips of both, as docs, the Makefile and `results` call them.
KERMANY_ZIP = "chest-xray-pneumonia.zip"
COVID_ZIP = "covid19-radiography-database.zip"
MASKS_ZIP = "lung-masks.zip"

#: Letters of a folder's name up to which capitals are taken for an acronym (``TB``, ``COPD``).
_LONGEST_ACRONYM = 5

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_FINDINGS = {
    "normal": NORMAL,
    "healthy": NORMAL,
    "negative": NORMAL,
    "no finding": NORMAL,
    "no findings": NORMAL,
    "bacteria": BACTERIAL_PNEUMONIA,
    "bacterial pneumonia": BACTERIAL_PNEUMONIA,
    "pneumonia bacterial": BACTERIAL_PNEUMONIA,
    "covid": COVID_19,
    "covid19": COVID_19,
    "covid 19": COVID_19,
    "virus": VIRAL_PNEUMONIA,
    "viral pneumonia": VIRAL_PNEUMONIA,
    "pneumonia viral": VIRAL_PNEUMONIA,
    "lung opacity": LUNG_OPACITY,
}
#: How a name begins that says what is not there; known ones (``no finding``) are above.
_NEGATIONS = {"no", "non", "not", "without"}
_BY_ID = {finding.id: finding for finding in CANONICAL_FINDINGS}

# Kaggle: person12_bacteria_46.jpeg; Mendeley: BACTERIA-1008087-0001.jpeg.
_KAGGLE_PNEUMONIA = re.compile(r"(person\d+)_(bacteria|virus)_", re.IGNORECASE)
_MENDELEY = re.compile(r"((?:bacteria|virus|normal)-\d+)-\d+", re.IGNORECASE)
# IM-0115-0001.jpeg, NORMAL2-IM-0383-0001.jpeg, IM-0666-0001-0002.jpeg.
_KAGGLE_NORMAL = re.compile(r"((?:normal\d*-)?im-\d+)-\d+", re.IGNORECASE)
_COVID_NAME = re.compile(
    r"(covid|normal|lung[_ ]opacity|viral pneumonia)(-| ?\()\d+\)?$", re.IGNORECASE
)


@dataclass(frozen=True)
class Named:
    """A radiograph as its name describes it.

    Attributes:
        path: as in the source.
        finding: its class.
        patient: the finest group that is known to be one person; where the names carry
            none, the image itself.
        official_split: "train", "validation" or "test" where a folder says so.
    """

    path: str
    finding: FindingClass
    patient: str
    official_split: str | None


def read_layout(paths: Sequence[str]) -> tuple[str, tuple[Named, ...]]:
    """Name of the data set and its radiographs, in the order of ``paths``.

    Images beside the class folders (a preview, a logo) are left out, and so are second
    copies: Kaggle's Kermany zip carries the whole tree twice, ``chest_xray/train`` and
    ``chest_xray/chest_xray/train``.

    Raises:
        DataError: folders of different names would be one class, or one says what is not there.
    """
    places = _without_copies(_places(paths))
    name = _recognise(places)
    findings = _findings({place.folders[0] for place in places})
    return name, tuple(_describe(place, name, findings[place.folders[0]]) for place in places)


def canonical_order(findings: Sequence[FindingClass]) -> tuple[FindingClass, ...]:
    """Each class once: the known ones in their fixed order, then the others by name."""
    present = set(findings)
    known = [finding for finding in CANONICAL_FINDINGS if finding in present]
    others = sorted(present - set(known), key=lambda finding: finding.id)
    return (*known, *others)


@dataclass(frozen=True)
class _Place:
    path: str
    folders: tuple[str, ...]  # from the class folder down
    split: str | None

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem


def _plain(name: str) -> str:
    """Lower case, one space between words: ``Lung_Opacity`` → ``lung opacity``.

    In one form of Unicode: macOS writes ü as u and a diaeresis.
    """
    return " ".join(re.split(r"[\s_\-]+", normalize("NFKC", name).strip().lower()))


def _places(paths: Sequence[str]) -> list[_Place]:
    places = []
    for path in paths:
        folders: list[str] = []
        split = None
        for folder in PurePosixPath(path).parts[:-1]:
            if folder.lower() in _SPLITS:
                split = _SPLITS[folder.lower()]
            elif folder.lower() != "images" and folders[-1:] != [folder]:
                folders.append(folder)
        places.append(_Place(path, tuple(folders), split))
    # Whatever all of them share is a wrapping folder, not a class; an image right inside
    # it belongs to no class. Leaving those out may uncover one more wrapping folder.
    while places:
        shared = _shared_depth([place.folders for place in places])
        inside = [place for place in places if len(place.folders) > shared]
        if not inside:  # one class alone: its folder is the last of the shared ones
            shared = max(shared - 1, 0)
            inside = [place for place in places if place.folders]
            return [_Place(p.path, p.folders[shared:], p.split) for p in inside]
        if len(inside) == len(places):
            return [_Place(p.path, p.folders[shared:], p.split) for p in places]
        places = inside
    return []


def _shared_depth(folders: Sequence[tuple[str, ...]]) -> int:
    first, last = min(folders), max(folders)
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth


def _without_copies(places: Sequence[_Place]) -> list[_Place]:
    shallowest: dict[tuple[object, ...], _Place] = {}
    for place in sorted(places, key=lambda place: (place.path.count("/"), place.path)):
        key = (place.split, place.folders, PurePosixPath(place.path).name)
        shallowest.setdefault(key, place)
    kept = {place.path for place in shallowest.values()}
    return [place for place in places if place.path in kept]


def _recognise(places: Sequence[_Place]) -> str:
    classes = {_plain(place.folders[0]) for place in places}
    if classes <= {"normal", "pneumonia"} and _most(places, _kermany_patient):
        return KERMANY
    covid_classes = {"covid", "covid 19", "lung opacity", "normal", "viral pneumonia"}
    if classes <= covid_classes and _most(places, _COVID_NAME.match):
        return COVID
    return FOLDERS


def _most(places: Sequence[_Place], matches: Callable[[str], object]) -> bool:
    return sum(matches(place.stem) is not None for place in places) * 2 > len(places)


def _kermany_patient(stem: str) -> str | None:
    pneumonia = _KAGGLE_PNEUMONIA.match(stem)
    if pneumonia:
        # The number alone is not a person: person1_bacteria and person1_virus differ.
        return f"{pneumonia[1]}_{pneumonia[2]}".lower()
    other = _KAGGLE_NORMAL.match(stem) or _MENDELEY.match(stem)
    return other[1].upper() if other else None


def _describe(place: _Place, name: str, finding: FindingClass) -> Named:
    patient = None
    if name == KERMANY:
        if finding is not NORMAL:
            finding = _kermany_pneumonia(place.stem) or finding
        patient = _kermany_patient(place.stem)
        if patient is not None and place.split is not None:
            # person1_bacteria of train and of test are different people: numbering restarts.
            side = "test" if place.split == "test" else "train"
            patient = f"{side}/{patient}"
    elif name == FOLDERS and len(place.folders) > 1:
        patient = "/".join(place.folders[1:])
    return Named(place.path, finding, patient or place.path, place.split)


def _kermany_pneumonia(stem: str) -> FindingClass | None:
    lowered = stem.lower()
    if "bacteria" in lowered:
        return BACTERIAL_PNEUMONIA
    return VIRAL_PNEUMONIA if "virus" in lowered else None


def _findings(folders: Iterable[str]) -> dict[str, FindingClass]:
    """The class of each folder; one label for all spellings of a name, as ``TB`` and ``tb``.

    Every name that is not known is a finding, and counts as infected.

    Raises:
        DataError: names that differ by more than that would share an id, or one denies a finding.
    """
    found: dict[str, FindingClass] = {}
    classes: dict[str, tuple[str, FindingClass]] = {}
    for folder in sorted(folders):
        plain = _plain(folder)
        identifier = re.sub(r"[\W_]+", "_", plain).strip("_") or "class"
        known = _FINDINGS.get(plain) or _BY_ID.get(identifier)
        if known is not None:
            found[folder] = known
            continue
        if plain.split(" ")[0] in _NEGATIONS:
            raise DataError(
                f"The folder {folder!r} would count as infected, like every name that is not "
                "known. If its films show no infection, call it 'Normal'; otherwise give it a name "
                f"that does not begin with {folder[: len(plain.split(' ')[0])]!r}."
            )
        finding = FindingClass(identifier, _label(folder), infected=True)
        first, found[folder] = classes.setdefault(identifier, (folder, finding))
        if _plain(first) != plain:
            raise DataError(
                f"The folders {first!r} and {folder!r} would be one class. Put their films into "
                "one folder, or give them names that differ in letters."
            )
    return found


def _label(folder: str) -> str:
    """The folder's name as words: ``TB`` stays, ``tuberculosis`` and ``TUBERCULOSIS`` are names."""
    words = " ".join(re.split(r"[\s_\-]+", normalize("NFC", folder).strip()))
    if words.isupper() and len(words) > _LONGEST_ACRONYM:
        words = words.lower()
    return words[:1].upper() + words[1:]
