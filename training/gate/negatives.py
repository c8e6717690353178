"""What is no chest film: collected pictures and made ones, by kind and family.

A family is left out of training as a whole when the gate is judged on it: a network that has
seen abdominal CT has in a way seen chest CT, so leaving out one kind at a time would flatter.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from cxr.dicom_grey import display_values
from cxr.dicom_pixels import stored_values
from training.errors import DataError
from training.gate import pages, scenes
from training.gate.views import WORKING_SIDE, Picture
from training.source import Source

NEGATIVES_ZIP = "not-chest-xray.zip"

Maker = Callable[[np.random.Generator], Picture]
#: Kind → pictures that somebody took, not a program here: uint8 grey, each of its own size.
Collected = Mapping[str, Sequence[Picture]]

#: Family → kinds. The last family trains nothing, ever.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "slices (CT, MR, ultrasound)": ("head CT", "chest CT", "abdomen CT", "breast MR", "section"),
    "other body parts": ("dental film", "hand film", "limb"),
    "photographs and scenes": ("photograph", "dead leaves"),
    "pages, screens and drawings": ("document", "screenshot", "plot", "drawing"),
    "no content": ("noise", "gradient"),
}
#: Pictures of pydicom-data, permanently held out.
DICOM_FAMILY = "DICOM test files"

MAKERS: Mapping[str, Maker] = {
    "section": scenes.section,
    "limb": scenes.limb,
    "dead leaves": scenes.dead_leaves,
    "document": pages.document,
    "screenshot": pages.screenshot,
    "plot": pages.plot,
    "drawing": pages.drawing,
    "noise": scenes.noise,
    "gradient": scenes.gradient,
}

_FOLDERS = {
    "dental": "dental film",
    "medical-mnist-Hand": "hand film",
    "medical-mnist-HeadCT": "head CT",
    "medical-mnist-ChestCT": "chest CT",
    "medical-mnist-AbdomenCT": "abdomen CT",
    "medical-mnist-BreastMRI": "breast MR",
}
# Test files of pydicom-data that show something of their own: no second encoding of the same
# picture, no calibration pattern of a few bars.
_DICOM_FILES = {
    "693_UNCI.dcm": "CT",
    "JPEG2000_UNC.dcm": "nuclear medicine",
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "ultrasound",
    "MR-SIEMENS-DICOM-WithOverlays.dcm": "MR",
    "MR2_UNCI.dcm": "MR",
    "OBXXXX1A.dcm": "ultrasound",
    "RG3_UNCI.dcm": "radiograph of a leg",
    "US1_UNCI.dcm": "ultrasound",
    "explicit_VR-UN.dcm": "CT",
    "gdcm-US-ALOKA-16.dcm": "ultrasound",
    "emri_small.dcm": "MR",
}


def read_collected(data: Path) -> Collected:
    """The zip of negatives and the photographs of installed packages, by kind.

    Raises:
        DataError: ``data`` lacks the zip.
    """
    path = data / NEGATIVES_ZIP
    if not path.exists():
        raise DataError(f"{data} lacks {NEGATIVES_ZIP}: pictures that are no chest films.")
    found: dict[str, list[Picture]] = {kind: [] for kind in _FOLDERS.values()}
    with Source(path) as source:
        for member in source.images:
            for folder, kind in _FOLDERS.items():
                if f"{folder}/" in member.path:
                    picture = cv2.imdecode(np.frombuffer(source.read(member.path), np.uint8), 0)
                    assert picture is not None, member.path
                    found[kind].append(np.asarray(picture, np.uint8))
    found["photograph"] = _photographs()
    return found


def _photographs() -> list[Picture]:
    """What scikit-image and scikit-learn carry: people, animals, things, sky, micrographs."""
    pictures = []
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        place = Path(spec.origin).parent / folder
        for file in sorted(place.iterdir()):
            # Smaller ones are test patterns; the phantom is a drawn slice.
            if file.suffix in (".png", ".jpg") and file.stat().st_size > 10_000:
                with Image.open(file) as image:
                    pictures.append(np.asarray(image.convert("RGB").convert("L")))
    return pictures


def read_dicom_pictures() -> list[tuple[str, Picture]]:
    """(what it shows, uint8 picture) of pydicom-data's files that are no chest film.

    The decoder of the product refuses most of them by their modality; here the picture alone
    is to be judged, so that rule is gone round.
    """
    from data_store import DataStore  # type: ignore[import-untyped]
    from pydicom import dcmread

    pictures = []
    for name, kind in _DICOM_FILES.items():
        dataset = dcmread(io.BytesIO(Path(DataStore().get_path(name)).read_bytes()))
        if dataset.SamplesPerPixel == 1 and dataset.PhotometricInterpretation != "PALETTE COLOR":
            if int(dataset.get("NumberOfFrames", 1)) > 1:
                levels = dataset.pixel_array[0].astype(np.float32)
            else:
                levels = display_values(stored_values(dataset), dataset).astype(np.float32)
        else:
            levels = np.asarray(dataset.pixel_array, np.float32)
            levels = levels.mean(axis=-1) if levels.ndim == 3 else levels
        span = max(float(np.ptp(levels)), 1.0)
        pictures.append((kind, ((levels - levels.min()) / span * 255).astype(np.uint8)))
    return pictures


def working(picture: Picture, random: np.random.Generator | None = None) -> Picture:
    """At the working size; of a large picture, with ``random``, often a part."""
    height, width = picture.shape
    if random is not None and min(height, width) > 200 and random.random() < 0.7:
        side = int(min(height, width) * random.uniform(0.3, 1.0))
        top, left = (int(random.integers(0, n - side + 1)) for n in (height, width))
        picture = picture[top : top + side, left : left + side]
    method = cv2.INTER_AREA if min(picture.shape) > WORKING_SIDE else cv2.INTER_LINEAR
    size = (WORKING_SIDE, WORKING_SIDE)
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
