"""The node as a process of its own over fake models: ``python -m tests.pacs.node_process``.

It starts in a second where the real one loads networks for several, and is in everything
else the same: it is what the kill tests kill.
"""

from __future__ import annotations

import os
from pathlib import Path

from app import logs
from app.pacs.node import Node, run
from app.pacs.processes import ReaderProcess
from app.pacs.settings import PacsSettings
from tests.pacs.fakes import fake_source


def main() -> None:
    logs.configure("INFO")
    settings = PacsSettings.from_environment()
    readers = [ReaderProcess(fake_source) for _ in range(settings.readers)]
    run(Node(settings, Path(os.environ["XRAY_MODELS"]), readers))


if __name__ == "__main__":
    main()
