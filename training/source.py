"""Where radiographs lie: a zip as it was downloaded, or the folder it was extracted to."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import TracebackType

from cxr.errors import TooLargeError
from training.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".dcm", ".dicom"}
)
_DICOM_HEAD = 132
_MASK_FOLDERS = frozenset({"mask", "masks"})
_READ_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # an encrypted member
    NotImplementedError,  # a compression that Python does not know
)


class UnreadableMemberError(Exception):
    """One file of the source cannot be read; its message says why."""


@dataclass(frozen=True)
class Member:
    """One file of a source.

    Attributes:
        path: name inside the zip, or path relative to the folder, with forward slashes.
        size: bytes, uncompressed.
        stamp: changes when the content does: the CRC in a zip, else the modification time.
    """

    path: str
    size: int
    stamp: int


class Source:
    """A zip or a folder, opened for reading; a context manager. ``read`` is thread-safe.

    Raises:
        DataError: nothing is there, or it is neither a folder nor a readable zip.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._zip: zipfile.ZipFile | None = None
        if root.is_dir():
            self.members = _folder_members(root)
        elif root.is_file():
            self._zip = _open_zip(root)
            self.members, self._names = _zip_members(self._zip)
        else:
            raise DataError(f"There is no file or folder {root}. Check the path.")

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    @cached_property
    def images(self) -> tuple[Member, ...]:
        """The radiographs: by suffix, DICOM without one too, without lung masks, sorted by path."""
        return tuple(
            member
            for member in self.members
            if (_is_image(member.path) or self._is_bare_dicom(member)) and not _is_mask(member.path)
        )

    def _is_bare_dicom(self, member: Member) -> bool:
        """Whether it is called as a PACS exports, ``IM000001`` or a UID, and begins as DICOM does.

        Part 10 of the standard, section 7.1: 128 bytes of anything, then ``DICM``.
        """
        place = PurePosixPath(member.path)
        named = place.suffix == "" or place.suffix[1:].isdigit()
        if not named or place.name == "DICOMDIR" or member.size <= _DICOM_HEAD:
            return False
        try:
            with (
                self._zip.open(self._names[member.path])
                if self._zip
                else (self.root / place).open("rb") as file
            ):
                return file.read(_DICOM_HEAD).endswith(b"DICM")
        except _READ_ERRORS:
            return False

    @property
    def has_masks(self) -> bool:
        """Whether lung masks lie beside the radiographs."""
        return any(_is_image(m.path) and _is_mask(m.path) for m in self.members)

    def mask_of(self, path: str) -> str | None:
        """The lung mask beside ``…/images/name.png``: ``…/masks/name.png``; None without one."""
        return self._masks.get(_mask_key(path))

    @cached_property
    def _masks(self) -> dict[str, str]:
        return {
            _mask_key(member.path): member.path
            for member in self.members
            if _is_image(member.path) and _is_mask(member.path)
        }

    @property
    def masked(self) -> dict[str, str]:
        """Path of each radiograph that has a lung mask beside it → path of the mask."""
        return {m.path: mask for m in self.images if (mask := self.mask_of(m.path))}

    @property
    def lists(self) -> tuple[str, ...]:
        """Tables that may say what is on the films; nothing here reads them."""
        return tuple(m.path for m in self.members if m.path.lower().endswith((".csv", ".tsv")))

    @property
    def zips(self) -> tuple[str, ...]:
        """Paths of the zips that lie within; they are not looked into."""
        return tuple(m.path for m in self.members if m.path.lower().endswith(".zip"))

    @property
    def metadata(self) -> tuple[Member, ...]:
        """The ``*.metadata.xlsx`` spreadsheets."""
        return tuple(m for m in self.members if m.path.lower().endswith(".metadata.xlsx"))

    def read(self, path: str, max_bytes: int | None = None) -> bytes:
        """The content of one member.

        Raises:
            UnreadableMemberError: damaged, encrypted or vanished.
            TooLargeError: announces more than ``max_bytes``; nothing was read.
        """
        try:
            if self._zip is None:
                file = self.root / path
                _refuse_larger(file.stat().st_size, max_bytes)
                return file.read_bytes()
            info = self._zip.getinfo(self._names[path])
            _refuse_larger(info.file_size, max_bytes)
            return self._zip.read(info)
        except _READ_ERRORS as error:
            raise UnreadableMemberError(f"cannot be read: {error}") from error


def fingerprint(members: Iterable[Member]) -> str:
    """SHA-256 of the listing: cheap, and changes whenever a file does."""
    digest = hashlib.sha256()
    for member in members:
        digest.update(f"{member.path}\0{member.size}\0{member.stamp}\n".encode())
    return digest.hexdigest()


def _refuse_larger(size: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size > max_bytes:
        raise TooLargeError(f"{size:,} bytes are more than the limit of {max_bytes:,}.")


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path} is not a readable zip ({error}). If the download was cut short, fetch it "
            "again; otherwise pass the extracted folder."
        ) from error


def _zip_members(archive: zipfile.ZipFile) -> tuple[tuple[Member, ...], dict[str, str]]:
    """The files, and by path the name that each has in the zip."""
    members, names = {}, {}
    for info in archive.infolist():
        path = info.filename.replace("\\", "/")  # as old packers for Windows wrote them
        if not path.endswith("/") and not _is_junk(path):
            members[path] = Member(path, info.file_size, info.CRC)
            names[path] = info.filename
    return tuple(members[path] for path in sorted(members)), names


def _folder_members(root: Path) -> tuple[Member, ...]:
    """The files, those behind symbolic links too; each folder once, links after what they show."""
    members = []
    seen = set()
    for place, folders, names in os.walk(root, followlinks=True):
        folder = Path(place)
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above never ends
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort(key=lambda name: ((folder / name).is_symlink(), name))
        for name in names:
            file = folder / name
            path = file.relative_to(root).as_posix()
            if not _is_junk(path) and file.is_file():
                status = file.stat()
                members.append(Member(path, status.st_size, status.st_mtime_ns))
    return tuple(sorted(members, key=lambda member: member.path))


def _is_junk(path: str) -> bool:
    """Whether macOS or an editor left the file: ``__MACOSX/…/._x.jpeg``, ``.DS_Store``."""
    parts = PurePosixPath(path).parts
    return any(part == "__MACOSX" or part.startswith(".") for part in parts)


def _is_image(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES


def _mask_key(path: str) -> str:
    """The same for an image and its mask: class folder and name, without suffix."""
    place = PurePosixPath(path)
    between = _MASK_FOLDERS | {"images", "image"}
    folders = [part for part in place.parts[:-1] if part.lower() not in between]
    return "/".join([*folders, place.stem]).lower()


def _is_mask(path: str) -> bool:
    return any(part.lower() in _MASK_FOLDERS for part in PurePosixPath(path).parts[:-1])
