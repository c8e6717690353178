"""Films sent by DCMTK's storescu come back into their study in a real Orthanc."""

from __future__ import annotations

import io
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from app.pacs.settings import PacsSettings
from tests.dicom_files import public_file
from tests.pacs.conftest import running_node
from tests.pacs.films import SYNTAXES, encode, film
from tests.pacs.orthanc import Orthanc, storescu, validation_errors
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

#: storescu proposes what it is told to, not what the file holds.
PROPOSE = {
    ExplicitVRLittleEndian: "--propose-little",
    ImplicitVRLittleEndian: "--propose-implicit",
    JPEGLSLossless: "--propose-jls-lossless",
    JPEG2000Lossless: "--propose-j2k-lossless",
    JPEG2000: "--propose-j2k-lossy",
    RLELossless: "--propose-rle",
}
KINDS = {"SR": "report", "OT": "capture", "PR": "presentation"}


def syntax_of(path: Path) -> UID:
    return UID(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)


def study_of(orthanc: Orthanc, study: str) -> dict[str, dict[str, str]]:
    """The instances of a study: SOP Instance UID → tags."""
    found = [
        orthanc.get(f"/instances/{name}/simplified-tags")
        for name in orthanc.find(StudyInstanceUID=study)
    ]
    return {tags["SOPInstanceUID"]: tags for tags in found}


def test_films_of_every_syntax_come_back_as_valid_objects(
    orthanc: Orthanc, to_orthanc: PacsSettings, models: Path, tmp_path: Path
) -> None:
    films = [
        film(syntax=syntax, inverted=inverted, digital=digital)
        for syntax in SYNTAXES
        for inverted, digital in ((False, True), (True, False))
    ]
    paths = []
    for number, dataset in enumerate(films):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(encode(dataset))
        paths.append(path)
    public = tmp_path / "public.dcm"
    public.write_bytes(public_file("RG1_J2KI.dcm"))
    with running_node(to_orthanc, models) as node:
        for path in [*paths, public]:
            sent = storescu(to_orthanc.port, path, options=(PROPOSE[syntax_of(path)],))
            assert sent.returncode == 0, sent.stderr
        wait_until(lambda: not node.spool.keys())
        assert node.spool.keys() == set()
    for dataset in [*films, dcmread(public, stop_before_pixels=True)]:
        results = study_of(orthanc, dataset.StudyInstanceUID)
        assert Counter(KINDS[tags["Modality"]] for tags in results.values()) == {
            "report": 1,
            "capture": 1,
            "presentation": 1,
        }
        for uid, tags in results.items():
            data = orthanc.file(uid)
            assert validation_errors(data, tmp_path) == [], tags["Modality"]
            result = dcmread(BytesIO(data))
            assert result.PatientID == dataset.PatientID
            assert result.PatientName == dataset.PatientName
            assert result.SeriesInstanceUID != dataset.SeriesInstanceUID
            if tags["Modality"] == "OT":
                shown = np.asarray(Image.open(io.BytesIO(orthanc.preview(uid))))
                assert shown.shape[1] == 1024
                assert shown[: shown.shape[1] // 2].std() > 20
