"""Coverage-guided fuzzing of ``cxr.decode``: a radiograph or a domain error, nothing else.

    python -m fuzz.decode CORPUS [-runs=100000] [-max_total_time=600] [other options of libFuzzer]

Needs atheris (Linux). The corpus starts from ``python -m fuzz.seeds``. An input that raises
anything else, or takes more than two seconds, is written to the working folder as ``crash-…``.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["cxr", "pydicom", "PIL"]):
    from cxr.decode import decode
    from cxr.errors import RadiographError
    from cxr.radiograph import Limits

from fuzz.watch import count, watched

# Small enough for thousands of inputs a minute; the ratios are those of the service.
LIMITS = Limits(max_bytes=1 << 20, max_pixels=4_000_000)


def one_input(data: bytes) -> None:
    """Decode once, as the service does."""
    with watched(data):
        try:
            radiograph = decode(data, LIMITS, reduce_to=32)
        except RadiographError as refusal:
            count(refusal.code)
            return
    assert radiograph.pixels.ndim == 2, radiograph.pixels.shape
    assert radiograph.pixels.dtype.kind == "u", radiograph.pixels.dtype
    assert min(radiograph.width, radiograph.height) >= LIMITS.min_side
    count(f"read {radiograph.format}")


def main() -> None:
    atheris.Setup([*sys.argv, "-rss_limit_mb=3000", "-timeout=120"], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
