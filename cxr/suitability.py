"""What plain arithmetic says of a radiograph before any network sees it."""

from __future__ import annotations

import numpy as np

from cxr.errors import UnsuitableImageError
from cxr.grey_levels import percentiles
from cxr.radiograph import Radiograph

#: Shorter side, in pixels of the file, below which fine detail is lost to any reader.
LOW_RESOLUTION_SIDE = 160
#: Share of the grey scale between the film's dark and light below which it counts as blank,
#: and below which too few grey levels are left to trust a reading of an 8-bit file (2 and 16
#: of 256).
BLANK_CONTRAST, LOW_CONTRAST = 2 / 256, 16 / 256
#: Longer side over shorter, above which a good part of the chest must have been cut off: film
#: formats go up to 1.25 (35 × 43 cm).
CROPPED_ASPECT = 2.0
#: Share of ``white`` above which detail was lost in the light: 3 of 1,999 real films have more, and
#: nearly every film whose reading changed when it was brightened until it burnt out.
OVEREXPOSED_WHITE = 0.15
#: ``Radiograph.chroma`` above which a picture is coloured: films that were saved in a colour mode
#: have none.
COLOURED_CHROMA = 1.0

#: Why a blank picture is refused.
NO_CONTRAST = "no_contrast"

_SAMPLED_SIDE = 128


def contrast(radiograph: Radiograph) -> float:
    """Share of the grey scale that lies between the 0.5th and the 99.5th percentile."""
    pixels = radiograph.pixels
    step = max(min(pixels.shape) // _SAMPLED_SIDE, 1)
    sample = pixels[::step, ::step]
    low, high = percentiles(sample, (0.5, 99.5))
    return (high - low) / float(np.iinfo(pixels.dtype).max)


def white(radiograph: Radiograph) -> float:
    """Share of the film's middle that is as bright as its brightest, within 2 % of its range.

    The middle is three quarters of each side: around the body there may be a white frame.
    """
    rows, columns = radiograph.pixels.shape
    step = max(min(rows, columns) // _SAMPLED_SIDE, 1)
    middle = radiograph.pixels[rows // 8 : rows - rows // 8, columns // 8 : columns - columns // 8]
    sample = middle[::step, ::step]
    darkest, brightest = int(sample.min()), int(sample.max())
    return float((sample >= brightest - 0.02 * (brightest - darkest)).mean())


def refuse_blank(spread: float) -> None:
    """Refuse a picture that is one even grey.

    Args:
        spread: its ``contrast``.

    Raises:
        UnsuitableImageError: with the reason ``NO_CONTRAST``.
    """
    if spread < BLANK_CONTRAST:
        raise UnsuitableImageError(
            "The image is blank: hardly any pixel differs from the others. Check the exposure or "
            "the export, and send the radiograph as it is displayed.",
            reason=NO_CONTRAST,
        )
