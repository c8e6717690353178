"""Which libraries a result was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "jax": ("jax",), "torch": ("torch",)}
_LIBRARIES = ("numpy", "pillow", "opencv-python-headless", "scikit-learn")


def library_versions() -> dict[str, str]:
    """Python's own version and those of Keras, its backend and the other libraries at work."""
    import keras  # not before: whoever needs no network starts without it

    found = {"python": platform.python_version()}
    for library in ("keras", *_BACKENDS.get(keras.backend.backend(), ()), *_LIBRARIES):
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found
