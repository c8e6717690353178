"""Decode every radiograph once, and keep the model inputs on disk.

One pass reads the bytes, hashes them, decodes them as serving does (``cxr``), takes a
perceptual hash and appends the uint8 image to a file that training maps into memory.
Images are written one after the other rather than through a writable memory map,
because a full disk is then an error that can be told, not a bus error.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import cxr
from cxr.decode import Limits, decode
from cxr.errors import CxrError
from cxr.preprocess import PreprocessSpec, in_eight_bits, to_model_input
from cxr.radiograph import Radiograph
from training.duplicates import HASH_SIDE, HASH_WORDS, THRESHOLD, near_pairs, perceptual_hash
from training.errors import CacheError
from training.source import Source, UnreadableMemberError, fingerprint

Progress = Callable[[int, int], None]

_FORMAT = 2
_WINDOW = 512  # images in flight: bounds the memory where the disk is slower than decoding
_NOT_DECODING = frozenset(
    {
        "bundle.py",
        "bundle_fields.py",
        "calibrate.py",
        "explain.py",
        "findings.py",
        "gate.py",
        "suitability.py",
        "verdict.py",
    }
)
_STALE_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Corrupt:
    """A file that could not be decoded, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Decoded:
    """The readable radiographs of a source, in the order they were asked for.

    Attributes:
        paths: one for each row of ``images``.
        sha256: of the file's bytes, hexadecimal, one for each row.
        images: memory map, uint8, shape (n, size, size); 255 × the model input.
        pairs: int64, shape (m, 3): two rows and the Hamming distance of their
            perceptual hashes, first row < second row.
        corrupt: what was left out.
    """

    paths: tuple[str, ...]
    sha256: tuple[str, ...]
    images: NDArray[np.uint8]
    pairs: NDArray[np.int64]
    corrupt: tuple[Corrupt, ...]


def decode_once(
    source: Source,
    paths: Sequence[str],
    spec: PreprocessSpec,
    cache_dir: Path,
    progress: Progress | None = None,
    *,
    masks: bool = False,
) -> Decoded:
    """Decode ``paths``, or take them from the cache when it has just these.

    Args:
        masks: black out what the lung mask beside each film leaves out.

    Raises:
        CacheError: the cache cannot be written; nothing half-written stays behind.
    """
    entry = cache_dir / _key(source, paths, spec, masks)
    cached = _load(entry, spec)
    if cached is not None:
        return cached
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        _remove_stale(cache_dir)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=cache_dir) as temporary:
            partial = Path(temporary) / "entry"
            partial.mkdir()
            _fill(partial, source, paths, spec, masks, progress)
            _publish(partial, entry, spec)
    except OSError as error:
        raise CacheError(_explain(error, cache_dir, len(paths) * spec.size**2)) from error
    decoded = _load(entry, spec)
    if decoded is None:
        raise CacheError(f"{entry} was damaged while it was written. Try again.")
    return decoded


def _key(source: Source, paths: Sequence[str], spec: PreprocessSpec, masks: bool) -> str:
    """Changes with the files and the input spec."""
    wanted = set(paths)
    digest = hashlib.sha256(fingerprint(m for m in source.members if m.path in wanted).encode())
    digest.update(json.dumps(spec.to_json(), sort_keys=True).encode())
    if masks:
        found = {source.mask_of(path) for path in paths}
        digest.update(fingerprint(m for m in source.members if m.path in found).encode())
    return digest.hexdigest()[:24]


def _code_version() -> str:
    """Changes with the code that decodes.

    Arrays of an older decoder would be a silent skew between training and serving. Modules
    are left out by name: one too many costs a needless pass, one too few a wrong model.
    """
    digest = hashlib.sha256(f"{_FORMAT} {HASH_SIDE} {THRESHOLD}".encode())
    for file in sorted(Path(cxr.__path__[0]).glob("*.py")):
        if file.name not in _NOT_DECODING:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _load(entry: Path, spec: PreprocessSpec) -> Decoded | None:
    try:
        table = json.loads((entry / "table.json").read_text())
        if table["code"] != _code_version():
            return None
        count = len(table["paths"])
        if count == 0:
            images = np.zeros((0, spec.size, spec.size), np.uint8)
        elif (entry / "images.u8").stat().st_size != count * spec.size**2:
            return None
        else:
            shape = (count, spec.size, spec.size)
            images = np.memmap(entry / "images.u8", np.uint8, "r", shape=shape)
        return Decoded(
            paths=tuple(table["paths"]),
            sha256=tuple(table["sha256"]),
            images=images,
            pairs=np.array(table["pairs"], np.int64).reshape(-1, 3),
            corrupt=tuple(Corrupt(**fields) for fields in table["corrupt"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class _Image:
    sha256: str
    pixels: NDArray[np.uint8]
    hash: NDArray[np.uint64]


def _fill(
    folder: Path,
    source: Source,
    paths: Sequence[str],
    spec: PreprocessSpec,
    masks: bool,
    progress: Progress | None,
) -> None:
    kept: list[str] = []
    sha256: list[str] = []
    hashes: list[NDArray[np.uint64]] = []
    corrupt: list[dict[str, str]] = []
    with (folder / "images.u8").open("wb") as file:
        for done, (path, image) in enumerate(_decode_all(source, paths, spec, masks), 1):
            if isinstance(image, Corrupt):
                corrupt.append({"path": path, "reason": image.reason})
            else:
                file.write(image.pixels.tobytes())
                kept.append(path)
                sha256.append(image.sha256)
                hashes.append(image.hash)
            if progress is not None:
                progress(done, len(paths))
    stacked = np.array(hashes, np.uint64).reshape(len(kept), HASH_WORDS)
    table: dict[str, Any] = {
        "code": _code_version(),
        "paths": kept,
        "sha256": sha256,
        "corrupt": corrupt,
        "pairs": near_pairs(stacked).tolist(),
    }
    (folder / "table.json").write_text(json.dumps(table))


def _decode_all(
    source: Source, paths: Sequence[str], spec: PreprocessSpec, masks: bool
) -> Iterator[tuple[str, _Image | Corrupt]]:
    # Threads are enough: reading, decoding, resizing and hashing release the GIL.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for start in range(0, len(paths), _WINDOW):
            window = paths[start : start + _WINDOW]
            yield from zip(
                window,
                pool.map(lambda path: _decode_one(source, path, spec, masks), window),
                strict=True,
            )


def _decode_one(source: Source, path: str, spec: PreprocessSpec, masks: bool) -> _Image | Corrupt:
    try:
        data = source.read(path, Limits().max_bytes)
        radiograph = decode(data, reduce_to=spec.reduce_to)
        shown = _masked(radiograph, source, path) if masks else radiograph
        # Where all but the lungs is black, that is no frame.
        spec = replace(spec, cut_frame=spec.cut_frame and not masks)
        pixels = in_eight_bits(to_model_input(shown, spec)[:, :, 0])
    except CxrError as error:
        return Corrupt(path, error.detail)
    except UnreadableMemberError as error:
        return Corrupt(path, str(error))
    return _Image(hashlib.sha256(data).hexdigest(), pixels, perceptual_hash(radiograph.pixels))


def _masked(radiograph: Radiograph, source: Source, path: str) -> Radiograph:
    """Black outside the lungs, as the data set's own mask draws them."""
    place = source.mask_of(path)
    if place is None:
        raise UnreadableMemberError("has no lung mask beside it")
    mask = cv2.imdecode(np.frombuffer(source.read(place), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise UnreadableMemberError(f"its lung mask {place} cannot be decoded")
    height, width = radiograph.pixels.shape
    lungs = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 127
    return replace(radiograph, pixels=np.where(lungs, radiograph.pixels, 0))


def _publish(partial: Path, entry: Path, spec: PreprocessSpec) -> None:
    """Put the finished entry in its place, in one step."""
    while True:
        try:
            os.rename(partial, entry)
            return
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
        if _load(entry, spec) is not None:
            return  # another run was faster; what it wrote equals ours
        # Damaged or of an older decoder. Whoever still maps it keeps it until done.
        with contextlib.suppress(FileNotFoundError):
            os.rename(entry, partial.with_name("replaced"))


def _remove_stale(cache_dir: Path) -> None:
    """What runs that were killed left behind; a run in progress is younger than a day."""
    for leftover in cache_dir.glob(".partial-*"):
        if time.time() - leftover.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(leftover, ignore_errors=True)


def _explain(error: OSError, cache_dir: Path, needed: int) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"The disk is full: the decoded radiographs need {needed / 1e6:.0f} MB in "
            f"{cache_dir}. Free some room, or choose another folder for the cache."
        )
    return f"The cache in {cache_dir} cannot be written: {error.strerror or error}."
