"""The cache: right, reused, and never half-written."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from cxr import PreprocessSpec, decode, to_model_input
from tests.training.trees import picture, write_folder, write_zip
from training import cache
from training.cache import Decoded, decode_once
from training.errors import CacheError
from training.source import Source

SPEC = PreprocessSpec(size=64)
FILES = {f"{number:02}.jpg": picture(number) for number in range(12)}


def _decode(data: Path, cache_dir: Path, spec: PreprocessSpec = SPEC) -> Decoded:
    with Source(data) as source:
        paths = [member.path for member in source.images]
        return decode_once(source, paths, spec, cache_dir)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "data", FILES)


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch):
    """Call it, and from then on decoding fails the test."""

    def forbid() -> None:
        def refuse(*_: object) -> None:
            raise AssertionError("decoded again")

        monkeypatch.setattr(cache, "_decode_one", refuse)

    return forbid


def test_holds_what_serving_would_compute(folder: Path, tmp_path: Path) -> None:
    decoded = _decode(folder, tmp_path / "cache")
    assert decoded.images.dtype == np.uint8
    assert decoded.images.shape == (12, 64, 64)
    for row, path in enumerate(decoded.paths):
        served = to_model_input(decode(FILES[path]), SPEC)[:, :, 0]
        np.testing.assert_allclose(decoded.images[row] / 255, served, atol=0.5 / 255 + 1e-6)


def test_zip_and_folder_give_the_same(folder: Path, tmp_path: Path) -> None:
    from_folder = _decode(folder, tmp_path / "cache")
    from_zip = _decode(write_zip(tmp_path / "data.zip", FILES), tmp_path / "cache")
    np.testing.assert_array_equal(from_folder.images, from_zip.images)
    assert from_folder.sha256 == from_zip.sha256


def test_the_second_call_does_not_decode(folder: Path, tmp_path: Path, no_decoding) -> None:
    first = _decode(folder, tmp_path / "cache")
    no_decoding()
    second = _decode(folder, tmp_path / "cache")
    np.testing.assert_array_equal(first.images, second.images)
    assert (first.paths, first.sha256, first.corrupt) == (
        second.paths,
        second.sha256,
        second.corrupt,
    )


def test_another_size_or_a_changed_file_is_decoded_anew(folder: Path, tmp_path: Path) -> None:
    first = _decode(folder, tmp_path / "cache")
    assert _decode(folder, tmp_path / "cache", PreprocessSpec(size=96)).images.shape[1] == 96
    (folder / "00.jpg").write_bytes(picture(99))
    changed = _decode(folder, tmp_path / "cache")
    assert changed.sha256[0] != first.sha256[0]
    assert not np.array_equal(changed.images[0], first.images[0])


def test_another_decoder_is_not_trusted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_decoding
) -> None:
    _decode(folder, tmp_path / "cache")
    monkeypatch.setattr(cache, "_code_version", lambda: "newer")
    _decode(folder, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1  # replaced, not piled up
    no_decoding()
    _decode(folder, tmp_path / "cache")


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: os.truncate(entry / "images.u8", 1000),
        lambda entry: (entry / "images.u8").unlink(),
        lambda entry: (entry / "table.json").write_text('{"paths": ["00.j'),
        lambda entry: (entry / "table.json").unlink(),
    ],
    ids=["images cut short", "no images", "table cut short", "no table"],
)
def test_a_damaged_entry_is_replaced(folder: Path, tmp_path: Path, damage) -> None:
    first = np.array(_decode(folder, tmp_path / "cache").images)
    (entry,) = (tmp_path / "cache").iterdir()
    damage(entry)
    np.testing.assert_array_equal(_decode(folder, tmp_path / "cache").images, first)


def test_unreadable_files_are_listed_and_rows_stay_aligned(folder: Path, tmp_path: Path) -> None:
    (folder / "03.jpg").write_bytes(FILES["03.jpg"][:200])
    (folder / "05.jpg").write_bytes(b"")
    (folder / "07.jpg").write_text("not an image")
    decoded = _decode(folder, tmp_path / "cache")
    assert [one.path for one in decoded.corrupt] == ["03.jpg", "05.jpg", "07.jpg"]
    assert all(len(one.reason) > 10 for one in decoded.corrupt)
    assert len(decoded.paths) == len(decoded.images) == 9
    row = decoded.paths.index("11.jpg")
    served = to_model_input(decode(FILES["11.jpg"]), SPEC)[:, :, 0]
    np.testing.assert_allclose(decoded.images[row] / 255, served, atol=0.5 / 255 + 1e-6)


def test_a_damaged_member_of_a_zip_is_listed(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", FILES)
    content = bytearray(path.read_bytes())
    place = content.index(FILES["04.jpg"][-60:-20])
    content[place : place + 40] = bytes(40)
    path.write_bytes(content)
    decoded = _decode(path, tmp_path / "cache")
    assert [one.path for one in decoded.corrupt] == ["04.jpg"]


def test_nothing_readable_is_no_error_here(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", {"a.jpg": b"x", "b.png": b"y"})
    decoded = _decode(folder, tmp_path / "cache")
    assert decoded.images.shape == (0, 64, 64)
    assert len(decoded.corrupt) == 2


def test_a_full_disk_is_told_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "near_pairs", full)  # after the images, before the table
    with pytest.raises(CacheError, match=r"disk is full.*MB"):
        _decode(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_write_that_fails_is_told(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_open = Path.open

    def open_full(path: Path, *arguments, **options):
        target = Path("/dev/full") if path.name == "images.u8" else path
        return plain_open(target, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(CacheError, match="disk is full"):
        _decode(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be written"):
        _decode(folder, tmp_path / "file" / "cache")


def test_interrupted_runs_leave_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "near_pairs", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _decode(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_run_left_is_removed_a_day_later(folder: Path, tmp_path: Path) -> None:
    old, recent = (tmp_path / "cache" / f".partial-{name}" for name in ("old", "recent"))
    for leftover in (old, recent):
        leftover.mkdir(parents=True)
        (leftover / "images.u8").write_bytes(b"half")
    os.utime(old, (0, 0))
    _decode(folder, tmp_path / "cache")
    assert not old.exists()
    assert recent.exists()


def test_two_runs_at_once_both_get_images(folder: Path, tmp_path: Path) -> None:
    results: list[Decoded] = []
    threads = [
        threading.Thread(target=lambda: results.append(_decode(folder, tmp_path / "cache")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(result.images) for result in results] == [12] * 4
    for result in results[1:]:
        np.testing.assert_array_equal(result.images, results[0].images)


def test_progress_counts_every_file(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Source(folder) as source:
        paths = [member.path for member in source.images]
        decode_once(source, paths, SPEC, tmp_path / "cache", lambda *step: seen.append(step))
    assert seen == [(done, 12) for done in range(1, 13)]
