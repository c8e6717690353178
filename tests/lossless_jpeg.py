"""A lossless JPEG encoder, because no library at hand writes the encoding that many detectors do.

Process 14 of ITU-T T.81 §H: each sample is predicted by its left neighbour (selection value
1), and the difference is Huffman coded by its bit length. One flat table with codes of
five bits serves every length from 0 to 16.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTHS = range(17)
_CODE_BITS = 5  # 17 codes of five bits; the all-ones code stays free, as §C asks


def encode_lossless_jpeg(pixels: NDArray[Any], precision: int) -> bytes:
    """Encode unsigned ``pixels``, shape (rows, columns), of ``precision`` bits."""
    rows, columns = pixels.shape
    counts = bytes(len(_LENGTHS) if bits == _CODE_BITS else 0 for bits in range(1, 17))
    table = b"\x00" + counts + bytes(_LENGTHS)
    frame = struct.pack(">BHHB3B", precision, rows, columns, 1, 1, 0x11, 0)
    scan = bytes([1, 1, 0, 1, 0, 0])  # one component, table 0, selection value 1
    return (
        b"\xff\xd8"
        + _segment(0xC3, frame)
        + _segment(0xC4, table)
        + _segment(0xDA, scan)
        + _entropy_code(pixels.astype(np.int64), precision)
        + b"\xff\xd9"
    )


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def _entropy_code(samples: NDArray[np.int64], precision: int) -> bytes:
    predicted = np.empty_like(samples)
    predicted[:, 1:] = samples[:, :-1]
    predicted[1:, 0] = samples[:-1, 0]  # the first column is predicted from above (§H.1.2.1)
    predicted[0, 0] = 1 << (precision - 1)
    # Differences are taken modulo 2^16 (§H.1.2.1), from -32767 to 32768.
    differences = (samples - predicted + 32767) % 65536 - 32767
    bits: list[str] = []
    for difference in differences.ravel().tolist():
        length = abs(difference).bit_length()
        code = format(length, f"0{_CODE_BITS}b")
        if 0 < length < 16:
            extra = difference if difference > 0 else difference + (1 << length) - 1
            code += format(extra, f"0{length}b")
        elif length == 16 and difference != 32768:
            raise AssertionError("no difference but 32768 has sixteen bits")
        bits.append(code)
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    coded = int(stream, 2).to_bytes(len(stream) // 8, "big")
    return coded.replace(b"\xff", b"\xff\x00")
