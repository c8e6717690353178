"""The DICOM node from C-STORE to stored results: films a second, answer time, memory.

    python benchmarks/pacs_node.py [--films 200] [--side 2048] [--senders 2]

Sends uncompressed 12-bit CR films over associations of their own to a real node (a process of
its own, with the shipped bundles) that delivers to a storage provider in this process, which
keeps nothing. Prints the rate from the first C-STORE to the last stored result, the median and
99th percentile of the answer to a C-STORE as the sender sees it (sending 8 MB included) and as
the node measures it (from the complete request to the answer), and the node's memory over time.
``--films 5000`` is the long run. The sender and the storage provider share the cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from pydicom import dcmread  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, generate_uid  # noqa: E402
from pynetdicom import AE, evt  # noqa: E402

from app.pacs.destinations import RESULT_CLASSES  # noqa: E402
from app.sample import sample_path  # noqa: E402
from cxr.decode import decode  # noqa: E402

MAX_PDU = 131_072


def film(side: int) -> Dataset:
    """The sample film as an uncompressed 12-bit CR of that size."""
    import cv2

    path = sample_path()
    if path is None:
        sys.exit("No film: install pydicom-data.")
    pixels = cv2.resize(decode(path.read_bytes()).pixels, (side, side)) >> 4
    dataset = dcmread(path, stop_before_pixels=True)
    for keyword in ("WindowCenter", "WindowWidth", "SmallestImagePixelValue", "PixelSpacing"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = side
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PatientAge = "050Y"
    dataset.PixelData = pixels.astype(np.uint16).tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


class Archive:
    """Takes results and counts them."""

    def __init__(self) -> None:
        self.objects = 0
        self.port = 0

    def store(self, event: evt.Event) -> int:
        self.objects += 1
        return 0x0000

    def start(self) -> None:
        entity = AE("ARCHIVE")
        entity.maximum_pdu_size = MAX_PDU
        for sop_class in RESULT_CLASSES:
            entity.add_supported_context(sop_class)
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self.store)]
        )
        assert server is not None
        self.port = server.server_address[1]


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(port: int, source: Dataset, films: int, seconds: list[float]) -> None:
    """Send films one after the other over one association."""
    dataset = Dataset()
    dataset.update(source)
    dataset.file_meta = source.file_meta
    entity = AE("BENCH")
    entity.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="XRAY", max_pdu=MAX_PDU)
    assert association.is_established, "the node rejects the benchmark"
    for _ in range(films):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        began = time.perf_counter()
        answer = association.send_c_store(dataset)
        seconds.append(time.perf_counter() - began)
        assert answer.Status == 0x0000, "the node refuses a film"
    association.release()


def resident_mb(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of the node, in megabytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def processor_seconds(process: subprocess.Popen[bytes]) -> float:
    """What the node has had of the cores; hardly depends on what else they do."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(port: int, name: str) -> float:
    """The sum over all labels of one of the node's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--senders", type=int, default=2)
    choice = parser.parse_args()
    archive = Archive()
    archive.start()
    port, metrics = free_port(), free_port()
    with tempfile.TemporaryDirectory() as spool:
        node = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "app", "pacs-node"],
            cwd=ROOT,
            env={
                **os.environ,
                "XRAY_LOG_LEVEL": "ERROR",
                "XRAY_PACS_SPOOL": spool,
                "XRAY_PACS_PORT": str(port),
                "XRAY_PACS_CALLERS": "BENCH=127.0.0.1",
                "XRAY_PACS_METRICS_PORT": str(metrics),
                "XRAY_PACS_MIN_FREE_BYTES": "0",
                "XRAY_PACS_DESTINATIONS": f"archive=dicom://ARCHIVE@127.0.0.1:{archive.port}",
            },
        )
        try:
            measure(node, archive, port, metrics, choice)
        finally:
            node.terminate()
            node.wait()


def measure(
    node: subprocess.Popen[bytes],
    archive: Archive,
    port: int,
    metrics: int,
    choice: argparse.Namespace,
) -> None:
    """Send, wait for the last result, print."""
    source = film(choice.side)
    warm: list[float] = []
    while True:
        try:
            metric(metrics, "xray_pacs_spool_free_bytes")
            break
        except OSError:
            assert node.poll() is None, "the node ended"
            time.sleep(0.2)
    send(port, source, 2, warm)
    while archive.objects < 6:  # the bundles are loaded and compiled
        assert node.poll() is None, "the node ended"
        time.sleep(0.1)
    answers: list[float] = []
    share = choice.films // choice.senders
    total = share * choice.senders
    before = [metric(metrics, f"xray_pacs_store_seconds_{part}") for part in ("sum", "count")]
    spent = processor_seconds(node)
    began = time.perf_counter()
    senders = [
        threading.Thread(target=send, args=(port, source, share, answers))
        for _ in range(choice.senders)
    ]
    for sender in senders:
        sender.start()
    memory = []
    while archive.objects < 6 + 3 * total:
        assert node.poll() is None, "the node ended"
        memory.append(resident_mb(node))
        time.sleep(0.25)
    elapsed = time.perf_counter() - began
    spent = processor_seconds(node) - spent
    for sender in senders:
        sender.join()
    after = [metric(metrics, f"xray_pacs_store_seconds_{part}") for part in ("sum", "count")]
    inside = 1000 * (after[0] - before[0]) / (after[1] - before[1])
    percentile = 1000 * float(np.percentile(answers, 99))
    load = os.getloadavg()[0]
    print(
        f"{total} CR of {choice.side}², {len(source.PixelData) / 1e6:.1f} MB each, load {load:.1f}"
    )
    print(f"from C-STORE to stored results   {total / elapsed:6.1f} films a second")
    print(f"C-STORE, sending included        {1000 * statistics.median(answers):6.1f} ms median")
    print(f"                                 {percentile:6.1f} ms 99th percentile")
    print(f"C-STORE, in the node             {inside:6.1f} ms mean")
    print(f"processor time of the node       {1000 * spent / total:6.1f} ms a film")
    tenth = max(len(memory) // 10, 1)
    print(
        f"resident memory                  {statistics.median(memory[tenth : 2 * tenth]):6.0f} MB "
        f"early, {statistics.median(memory[-tenth:]):.0f} MB late, {max(memory):.0f} MB most"
    )


if __name__ == "__main__":
    main()
