"""The node as a process of its own over fake models: ``python -m tests.pacs.node_process``.

It starts in a second where the real one loads networks for several, and is in everything
else the same: it is what the kill tests kill.
"""

from __future__ import annotations

import os
from pathlib import Path

from app import logs
from app.pacs.node import Node, run
from app.pacs.settings import PacsSettings
from app.predictor import Predictor
from cxr.radiograph import Limits
from tests.pacs.fakes import fake_bundles


def main() -> None:
    logs._configure("INFO")
    predictor = Predictor(fake_bundles(), Limits(max_bytes=2**28))  # type: ignore[arg-type]
    run(Node(PacsSettings.from_environment(), Path(os.environ["XRAY_MODELS"]), lambda: predictor))


if __name__ == "__main__":
    main()
