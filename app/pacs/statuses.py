"""The statuses that a C-STORE is answered with or gets, by name (PS3.4 §B.2.3, PS3.7 §C)."""

from __future__ import annotations

from enum import IntEnum


class StoreStatus(IntEnum):
    """What the node answers; what peers answer has more values, see ``describe``."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    CANNOT_UNDERSTAND = 0xC000


#: A peer stored the object and says so with a remark (PS3.4 Table B.2-1): coercion of
#: elements, elements discarded, data set does not match the SOP class.
STORED_WITH_WARNING = frozenset({0xB000, 0xB006, 0xB007})
#: A peer has an object of the same UID already (PS3.7 §C.5.11): ours, as no other has it.
DUPLICATE = 0x0111

_FAMILIES = (
    (0xFF00, 0xA700, "out of resources"),
    (0xFF00, 0xA900, "data set does not match SOP class"),
    (0xF000, 0xC000, "cannot understand"),
    (0xFFFF, 0x0122, "SOP class not supported"),
    (0xFFFF, 0x0124, "not authorized"),
    (0xFFFF, 0x0110, "processing failure"),
    (0xFFFF, 0x0111, "duplicate SOP instance"),
    (0xFFFF, 0xA801, "move destination unknown"),
    (0xFFFF, 0xFE00, "cancelled"),
)


def describe(status: int) -> str:
    """A status in words, with its number for whoever looks it up."""
    for mask, family, words in _FAMILIES:
        if status & mask == family:
            return f"{words} (0x{status:04X})"
    return f"status 0x{status:04X}"


def is_stored(status: int) -> bool:
    """Whether the peer has the object now."""
    return status in {StoreStatus.SUCCESS, DUPLICATE} | STORED_WITH_WARNING
