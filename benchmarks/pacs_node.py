"""The DICOM node from C-STORE to stored results: films a second, answer time, memory.

    python benchmarks/pacs_node.py [--films 200] [--side 2048] [--senders 2]

Sends uncompressed 12-bit CR films over associations of their own to a real node (with the
shipped bundles) that delivers to a storage provider which keeps nothing; senders, node and
provider are processes of their own and share the cores. Prints the rate from the first C-STORE to
the last stored result, the median and 99th percentile of the answer to a C-STORE as the sender
sees it (sending 8 MB included) and as the node measures it (from the complete request to the
answer), what each process had of the processor for a film, and the node's memory over time.

``--rate 10`` paces the senders, so that the answer time is that of a node which keeps up, not
of one that is flooded. ``--films 5000 --rate 10`` is the long run, of flat memory; without a
rate the spool would take all the films first, 8 MB each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from _servers import resident_mb_of, sum_of_family  # noqa: E402
from pydicom import dcmread  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid  # noqa: E402
from pynetdicom import AE, evt  # noqa: E402

from app.pacs.destinations import RESULT_CLASSES  # noqa: E402
from app.sample import sample_path  # noqa: E402
from cxr.decode import decode  # noqa: E402
from tests.server import free_port  # noqa: E402

MAX_PDU = 131_072
_PROCESSES = multiprocessing.get_context("spawn")
_WARMING = 2


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


@dataclass(frozen=True)
class Archive:
    """Takes results and counts them, in a process of its own."""

    port: int
    objects: Any
    process: Any

    @classmethod
    def start(cls) -> Archive:
        objects, port = _PROCESSES.Value("i", 0), free_port()
        process = _PROCESSES.Process(target=_take, args=(port, objects), daemon=True)
        process.start()
        return cls(port, objects, process)


def _take(port: int, objects: Any) -> None:
    def store(event: evt.Event) -> int:
        with objects.get_lock():
            objects.value += 1
        return 0x0000

    entity = AE("ARCHIVE")
    entity.maximum_pdu_size = MAX_PDU
    for sop_class in RESULT_CLASSES:
        entity.add_supported_context(sop_class, [ExplicitVRLittleEndian, JPEGBaseline8Bit])
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])


@dataclass(frozen=True)
class Sent:
    """What a sender saw.

    Attributes:
        seconds: from the request to the answer, for each film.
        processor: seconds that the process had of the cores while it sent.
    """

    seconds: list[float]
    processor: float


def send(port: int, side: int, films: int, pause: float, answers: Any) -> None:
    """Send films one after the other over one association; the body of a process.

    Args:
        pause: seconds from one film to the next, at least; 0 sends as fast as it goes.
    """
    dataset = film(side)
    entity = AE("BENCH")
    entity.add_requested_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="XRAY", max_pdu=MAX_PDU)
    assert association.is_established, "the node rejects the benchmark"
    seconds, spent, first = [], time.process_time(), time.perf_counter()
    for number in range(films):
        time.sleep(max(first + number * pause - time.perf_counter(), 0.0))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        began = time.perf_counter()
        answer = association.send_c_store(dataset)
        seconds.append(time.perf_counter() - began)
        assert answer.Status == 0x0000, "the node refuses a film"
    answers.put(Sent(seconds, time.process_time() - spent))
    association.release()


class Senders:
    """Processes that send, each over an association of its own."""

    def __init__(self, number: int, films: int, port: int, choice: argparse.Namespace) -> None:
        self._answers = _PROCESSES.Queue()
        pause = number / choice.rate if choice.rate else 0.0
        arguments = (port, choice.side, films // number, pause, self._answers)
        self._processes = [
            _PROCESSES.Process(target=send, args=arguments, daemon=True) for _ in range(number)
        ]
        for process in self._processes:
            process.start()

    def check(self) -> None:
        """Raises where a sender failed."""
        assert not any(process.exitcode for process in self._processes), "a sender failed"

    def sent(self) -> list[Sent]:
        """What they saw; waits for them."""
        return [self._answers.get(timeout=60) for _ in self._processes]


def resident_mb(process: Any) -> float:
    """Resident memory of a process and its readers, in megabytes; shared pages once for each."""
    return sum_of_family(process.pid, resident_mb_of)


def processor_seconds(process: Any) -> float:
    """What they have had of the cores; hardly depends on what else these do."""
    return sum_of_family(process.pid, lambda one: sum(one.cpu_times()[:2]))  # user and system


def metric(port: int, name: str) -> float:
    """The sum over all labels of one of the node's metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


def _sum_and_count(port: int, what: str) -> tuple[float, float]:
    return (
        metric(port, f"xray_pacs_{what}_seconds_sum"),
        metric(port, f"xray_pacs_{what}_seconds_count"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--senders", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.0, help="films a second; 0: flood it")
    choice = parser.parse_args()
    archive = Archive.start()
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
            archive.process.terminate()
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
    while True:
        try:
            metric(metrics, "xray_pacs_spool_free_bytes")
            break
        except OSError:
            assert node.poll() is None, "the node ended"
            time.sleep(0.2)
    senders = Senders(1, _WARMING, port, choice)
    while archive.objects.value < 3 * _WARMING:  # the bundles are loaded and compiled
        senders.check()
        assert node.poll() is None, "the node ended"
        time.sleep(0.1)
    total = choice.films // choice.senders * choice.senders
    before = {what: _sum_and_count(metrics, what) for what in ("store", "reading")}
    spent = [processor_seconds(process) for process in (node, archive.process)]
    senders = Senders(choice.senders, choice.films, port, choice)
    began = None
    memory = []
    while archive.objects.value < 3 * (_WARMING + total):
        senders.check()
        assert node.poll() is None, "the node ended"
        if began is None and metric(metrics, "xray_pacs_stores_total") > _WARMING:
            began = time.perf_counter()  # the senders have made their film and sent the first
        memory.append(resident_mb(node))
        time.sleep(0.25)
    assert began is not None
    elapsed = time.perf_counter() - began
    after = [processor_seconds(process) for process in (node, archive.process)]
    sent = senders.sent()
    seconds = [each for sender in sent for each in sender.seconds]
    means = {}
    for what, (total_then, count_then) in before.items():
        total_now, count_now = _sum_and_count(metrics, what)
        means[what] = 1000 * (total_now - total_then) / (count_now - count_then)
    percentile = 1000 * float(np.percentile(seconds, 99))
    shares = [now - then for now, then in zip(after, spent, strict=True)]
    shares.append(sum(sender.processor for sender in sent))
    node_ms, archive_ms, sender_ms = (1000 * share / total for share in shares)
    print(
        f"{total} CR of {choice.side}², {2 * choice.side**2 / 1e6:.1f} MB each, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"from C-STORE to stored results   {total / elapsed:6.1f} films a second")
    print(f"C-STORE, sending included        {1000 * statistics.median(seconds):6.1f} ms median")
    print(f"                                 {percentile:6.1f} ms 99th percentile")
    print(f"C-STORE, in the node             {means['store']:6.1f} ms mean")
    print(f"reading, results on disk         {means['reading']:6.1f} ms mean")
    print(f"processor time of the node       {node_ms:6.1f} ms a film")
    print(f"  of senders and provider        {sender_ms:6.1f} and {archive_ms:.1f} ms a film")
    tenth = max(len(memory) // 10, 1)
    print(
        f"resident memory                  {statistics.median(memory[tenth : 2 * tenth]):6.0f} MB "
        f"early, {statistics.median(memory[-tenth:]):.0f} MB late, {max(memory):.0f} MB most"
    )


if __name__ == "__main__":
    main()
