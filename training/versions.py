"""Which libraries a result was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = (
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "torch",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "scikit-learn",
)


def library_versions() -> dict[str, str]:
    """Python's own version and that of each library that is installed."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
