"""The COVID-19 Radiography Database's spreadsheets: which hospital an image came from.

``COVID.metadata.xlsx`` and its sisters have the columns FILE NAME, FORMAT, SIZE and URL.
The URL names the source collection, which matters because sources differ by class and a
network can learn the source instead of the disease.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath

from training.cache import Corrupt
from training.source import Source, UnreadableMemberError


def read_origins(source: Source) -> tuple[dict[str, str], tuple[Corrupt, ...]]:
    """URL of each image that a spreadsheet lists, by lower-case name without suffix.

    The spreadsheets write ``NORMAL-1`` for ``Normal-1.png``. A spreadsheet that cannot be
    read is not fatal; it is returned beside the URLs, with the reason.
    """
    if not source.metadata:
        return {}, ()
    import openpyxl  # not needed by a data set without spreadsheets
    from openpyxl.utils.exceptions import InvalidFileException

    origins: dict[str, str] = {}
    unreadable = []
    for member in source.metadata:
        try:
            content = io.BytesIO(source.read(member.path))
            book = openpyxl.load_workbook(content, read_only=True, data_only=True)
            rows = book.worksheets[0].iter_rows(values_only=True)
            header = [str(cell).strip().upper() for cell in next(rows, ())]
            name, url = header.index("FILE NAME"), header.index("URL")
            for row in rows:
                if len(row) > max(name, url) and row[name] and row[url]:
                    origins[origin_key(str(row[name]))] = str(row[url]).strip()
        except UnreadableMemberError as error:
            unreadable.append(Corrupt(member.path, str(error)))
        except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError) as error:
            unreadable.append(Corrupt(member.path, f"not a spreadsheet of image sources: {error}"))
    return origins, tuple(unreadable)


def origin_key(name: str) -> str:
    """``Normal-1.png``, ``…/Normal-1.png`` and ``NORMAL-1`` → ``normal-1``."""
    file = PurePosixPath(name.strip().lower())
    return file.stem if file.suffix in {".png", ".jpg", ".jpeg"} else file.name
