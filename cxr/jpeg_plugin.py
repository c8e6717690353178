"""JPEG of 2 to 16 bits, lossy and lossless, for pydicom: a decoder plugin (its guide
"decoder plugins").

libjpeg-turbo 3 decodes what ITU-T T.81 calls extended (12 bits) and lossless (process 14) as
well; imagecodecs is the one package that carries it to Python with these. The plugins that
pydicom knows for the same either stand under the GPL or refuse 12 bits.
"""

from __future__ import annotations

from importlib.util import find_spec

from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

LABEL = "imagecodecs"

# pydicom asks a plugin for both of these.
DECODER_DEPENDENCIES = dict.fromkeys(
    (JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",)
)


def is_available(uid: str) -> bool:
    return uid in DECODER_DEPENDENCIES and find_spec("imagecodecs") is not None


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame; 8 bits a sample up to a precision of 8, else 16.

    Raises:
        ImcdError: the frame is damaged (a class of imagecodecs).
    """
    # Imported when such a film comes: most services never see one.
    from imagecodecs import jpeg8_decode

    pixels = jpeg8_decode(frame)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    return bytes(pixels.tobytes())


def register() -> None:
    """Let pydicom find the plugin."""
    for syntax in DECODER_DEPENDENCIES:
        get_decoder(syntax).add_plugin(LABEL, (__name__, decode_frame.__name__))
