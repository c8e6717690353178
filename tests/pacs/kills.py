"""kill -9, again and again, while films arrive; then count what the archive holds.

    python -m tests.pacs.kills [--rounds 20] [--films 300] [--kills 3] [--side 128]

Each round starts an Orthanc and the node as a process of its own (over models that need no
network, so that a restart takes a second), sends films over several associations, each until
it is acknowledged, and kills the reader and then the node at random moments; in between the
archive is stopped for a while. At the end every acknowledged film must have exactly one set of
results there, and there must be nothing else; the spool must be empty. Prints a line a round and
one for all; exits with 1 where one failed. The films are small, so that the time goes into the
kills and not into pixels; ``--seed`` (printed first) plays a run again.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pynetdicom import AE

from tests.pacs.conftest import NodeProcess
from tests.pacs.fakes import write_models
from tests.pacs.films import film
from tests.pacs.orthanc import Orthanc, running_orthanc
from tests.phantoms import chest_phantom
from tests.server import free_port

SENDERS = 2
SIDE = 128
RESULTS_OF_A_FILM = ("OT", "PR", "SR")
_GIVE_UP_SECONDS = 600.0


@dataclass
class Tally:
    """What the senders saw."""

    acknowledged: set[str]
    failures: int = 0


def send_all(port: int, films: list, tally: Tally, lock: threading.Lock) -> None:
    """Send each film until it is acknowledged, as a modality does."""
    entity = AE("CR1")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 15
    entity.add_requested_context(films[0].SOPClassUID, films[0].file_meta.TransferSyntaxUID)
    waiting = list(films)
    association = None
    while waiting:
        if association is None or not association.is_established:
            association = entity.associate("127.0.0.1", port, ae_title="XRAY")
            if not association.is_established:
                time.sleep(0.2)
                continue
        try:
            answer = association.send_c_store(waiting[0])
        except (RuntimeError, ValueError):  # the node went away between the two
            answer = {}
        if "Status" in answer and answer.Status == 0x0000:
            with lock:
                tally.acknowledged.add(str(waiting.pop(0).SOPInstanceUID))
        else:
            tally.failures += 1
            association.abort()
    association.release()


def results_by_film(orthanc: Orthanc) -> Counter[tuple[str, str]]:
    """How many results of which modality each study (one a film) has."""
    return Counter(
        (tags["StudyInstanceUID"], tags["Modality"]) for tags in orthanc.instances().values()
    )


def play(
    folder: Path, films: int, kills: int, chance: random.Random, side: int = SIDE
) -> list[str]:
    """One round; what went wrong.

    Args:
        side: of the films, in pixels.
    """
    pixels = chest_phantom(side).astype(np.uint16) * 16
    models = write_models(folder / "models")
    port, metrics_port = free_port(), free_port()
    objects = [film(pixels) for _ in range(films)]
    objects += objects[: films // 20]  # some come twice
    chance.shuffle(objects)
    with running_orthanc(folder / "orthanc", node_port=port) as orthanc, ExitStack() as stack:
        node = NodeProcess(
            environment={
                "XRAY_MODELS": str(models),
                "XRAY_PACS_SPOOL": str(folder / "spool"),
                "XRAY_PACS_PORT": str(port),
                "XRAY_PACS_CALLERS": "CR1=127.0.0.1",
                "XRAY_PACS_DESTINATIONS": f"archive=dicom://ORTHANC@127.0.0.1:{orthanc.dicom},"
                f"web={orthanc.web}",
                "XRAY_PACS_MIN_FREE_BYTES": "0",
                "XRAY_PACS_METRICS_PORT": str(metrics_port),
                "XRAY_PACS_RETRY_SECONDS": "0.5",
                "XRAY_PACS_ACSE_TIMEOUT": "15",
            },
            log=folder / "node.log",
            port=port,
        )
        stack.callback(node.stop)
        node.start()
        tally, lock = Tally(set()), threading.Lock()
        senders = [
            threading.Thread(target=send_all, args=(port, objects[n::SENDERS], tally, lock))
            for n in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        for number in range(kills):
            # Not by the clock alone: a slow machine would be killed before it begins.
            target = chance.uniform(0.02, 0.98) * films * (number + 1) / kills
            while len(tally.acknowledged) < target and any(s.is_alive() for s in senders):
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.5))
            node.kill_readers()
            time.sleep(chance.uniform(0.0, 2.0))
            node.kill()
            if number == 0:  # the archive is away meanwhile, as one that is restarted
                os.kill(orthanc.process.pid, signal.SIGSTOP)
                threading.Timer(
                    chance.uniform(1.0, 5.0), os.kill, (orthanc.process.pid, signal.SIGCONT)
                ).start()
            node.start()
        for sender in senders:
            sender.join()
        # Once more while the last ones are read and delivered.
        time.sleep(chance.uniform(0.0, 1.0))
        node.kill()
        node.start()
        wrong = settle(orthanc, folder / "spool", len(tally.acknowledged))
        node.stop()
        expected = {str(each.StudyInstanceUID) for each in objects}
        counted = results_by_film(orthanc)
        wanted = {(study, kind): 1 for study in expected for kind in RESULTS_OF_A_FILM}
        missing = sum(1 for key in wanted if counted[key] < 1)
        surplus = sum(max(number - wanted.get(key, 0), 0) for key, number in counted.items())
        if missing or surplus:
            wrong.append(f"{missing} results missing, {surplus} too many")
        if len(tally.acknowledged) != films:
            wrong.append(f"{len(tally.acknowledged)} of {films} films acknowledged")
    return wrong


def settle(orthanc: Orthanc, spool: Path, films: int) -> list[str]:
    """Wait until everything is delivered and the spool is empty."""
    end = time.monotonic() + _GIVE_UP_SECONDS
    while True:
        left = [path for name in ("received", "results") for path in (spool / name).iterdir()]
        if not left and orthanc.count() >= films * len(RESULTS_OF_A_FILM):
            return []
        if time.monotonic() > end:
            return [f"{len(left)} films stay in the spool"]
        time.sleep(0.2)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--films", type=int, default=300)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--side", type=int, default=SIDE, help="of the films, in pixels")
    parser.add_argument("--seed", type=int, default=None)
    choice = parser.parse_args()
    seed = choice.seed if choice.seed is not None else random.randrange(2**32)
    print(f"seed {seed}", flush=True)
    failed = 0
    for number in range(1, choice.rounds + 1):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            chance = random.Random(seed + number)
            wrong = play(Path(folder), choice.films, choice.kills, chance, choice.side)
        failed += bool(wrong)
        result = "; ".join(wrong) or "every film once"
        print(
            f"round {number}: {choice.films} films, {choice.kills + 1} kills, "
            f"{time.monotonic() - began:.0f} s: {result}",
            flush=True,
        )
    print(
        f"{choice.rounds * choice.films} films, {choice.rounds * (choice.kills + 1)} kills: "
        f"{choice.rounds - failed} of {choice.rounds} rounds with every film once",
        flush=True,
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
