"""A real Orthanc on free ports of the loopback, with DICOMweb; and DCMTK's tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server import end_process, free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
TITLE = "ORTHANC"


def needs(*programs: str) -> None:
    """Skip the test where a program is missing."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (Debian: orthanc, dcmtk, dicom3tools)")


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    http: int
    dicom: int
    process: subprocess.Popen[bytes]

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http}/dicom-web"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=60) as answer:
            body = answer.read()
            return json.loads(body) if "json" in answer.headers["Content-Type"] else body

    def post(self, path: str, data: bytes) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=data)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def find(self, **query: str) -> list[str]:
        """Orthanc's ids of the instances that match."""
        body = {"Level": "Instance", "Query": query, "CaseSensitive": True}
        return list(self.post("/tools/find", json.dumps(body).encode()))

    def instances(self) -> dict[str, dict[str, str]]:
        """Every stored instance: SOP Instance UID → its simplified tags."""
        tags = [self.get(f"/instances/{name}/simplified-tags") for name in self.get("/instances")]
        return {entry["SOPInstanceUID"]: entry for entry in tags}

    def count(self) -> int:
        return int(self.get("/statistics")["CountInstances"])

    def file(self, sop_instance: str) -> bytes:
        (name,) = self.find(SOPInstanceUID=sop_instance)
        return bytes(self.get(f"/instances/{name}/file"))

    def preview(self, sop_instance: str) -> bytes:
        """The instance as Orthanc renders it, PNG."""
        (name,) = self.find(SOPInstanceUID=sop_instance)
        return bytes(self.get(f"/instances/{name}/preview"))


@contextmanager
def running_orthanc(
    folder: Path, *, node_port: int = 0, http: int | None = None, dicom: int | None = None
) -> Iterator[Orthanc]:
    """Start Orthanc with its storage in ``folder``; it knows the node as XRAY."""
    needs("Orthanc")
    folder.mkdir(parents=True, exist_ok=True)
    http, dicom = http or free_port(), dicom or free_port()
    configuration = {
        "Name": "test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": http,
        "DicomPort": dicom,
        "DicomAet": TITLE,
        "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowMove": True,
        "OverwriteInstances": False,
        "StableAge": 1,
        "SyncStorageArea": False,  # the archive is not on trial, and need not survive a crash
        "Plugins": [str(PLUGIN)] if PLUGIN.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {"xray": ["XRAY", "127.0.0.1", node_port]},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("ab") as sink:
        process = subprocess.Popen(["Orthanc", str(file)], stdout=sink, stderr=subprocess.STDOUT)
    orthanc = Orthanc(http, dicom, process)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                orthanc.get("/system")
                break
            except (OSError, urllib.error.URLError):
                assert process.poll() is None, (folder / "orthanc.log").read_text()[-2000:]
                assert time.monotonic() < end, "Orthanc did not start"
                time.sleep(0.1)
        yield orthanc
    finally:
        end_process(process)


def storescu(
    port: int,
    *paths: Path,
    calling: str = "CR1",
    called: str = "XRAY",
    options: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Send files with DCMTK's storescu."""
    needs("storescu")
    return subprocess.run(
        [
            "storescu",
            "--aetitle",
            calling,
            "--call",
            called,
            *options,
            "127.0.0.1",
            str(port),
            *map(str, paths),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def validation_errors(data: bytes, folder: Path) -> list[str]:
    """What dciodvfy calls an error in an object."""
    needs("dciodvfy")
    path = folder / "object.dcm"
    path.write_bytes(data)
    answer = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return [
        line
        for line in (answer.stdout + answer.stderr).splitlines()
        if line.startswith(("Error", "Abort"))
    ]
