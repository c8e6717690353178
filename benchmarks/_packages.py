"""The packages that serving installs, and no others: links to them, in a folder of their own.

An environment for development holds four times as many, and Keras imports what it finds: the
service would start seconds later and hold more than it does where it is deployed.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = {"keras": "requirements.txt", "lean": "requirements-lean.txt"}


@contextlib.contextmanager
def packages_of(engine: str) -> Iterator[Path]:
    """A folder for ``PYTHONPATH``, beside ``python -S``, with what the engine's file pins."""
    pinned = (ROOT / REQUIREMENTS[engine]).read_text("utf-8")
    with tempfile.TemporaryDirectory(prefix="bench-packages-") as folder:
        for name in re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*\])?==", pinned, re.MULTILINE):
            with contextlib.suppress(PackageNotFoundError):  # pinned for another system
                _link(name, Path(folder))
        yield Path(folder)


def _link(name: str, folder: Path) -> None:
    found = distribution(name)
    for top in {file.parts[0] for file in found.files or () if file.parts[0] != ".."}:
        installed, link = Path(str(found.locate_file(top))), folder / top
        if installed.exists() and not link.exists():
            link.symlink_to(installed.resolve())
