"""JPEG of 2 to 16 bits, lossy and lossless, for pydicom: a decoder plugin (its guide
"decoder plugins").

Baseline is decoded as the JPEG that is no DICOM file: what is damaged is refused.

libjpeg-turbo 3 decodes what ITU-T T.81 calls extended (12 bits) and lossless (process 14) as
well; imagecodecs is the one package that carries it to Python with these. The plugins that
pydicom knows for the same either stand under the GPL or refuse 12 bits.
"""

from __future__ import annotations

from importlib.util import find_spec

from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1

from cxr.jpeg import decode_grey

LABEL = "libjpeg-turbo"

# pydicom asks a plugin for both of these.
DECODER_DEPENDENCIES: dict[str, tuple[str, ...]] = {
    JPEGBaseline8Bit: ("simplejpeg",),
    **dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), ("imagecodecs",)),
}


def is_available(uid: str) -> bool:
    packages = DECODER_DEPENDENCIES.get(uid)
    return packages is not None and all(find_spec(package) for package in packages)


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """Decode one frame; 8 bits a sample up to a precision of 8, else 16.

    Raises:
        UnreadableImageError: a baseline frame is damaged.
        ImcdError: another one is (a class of imagecodecs).
    """
    if runner.transfer_syntax == JPEGBaseline8Bit:
        runner.set_option("bits_allocated", 8)
        return decode_grey(frame, runner.columns, runner.rows).tobytes()
    # Imported when such a film comes: most services never see one.
    from imagecodecs import jpeg8_decode

    pixels = jpeg8_decode(frame)
    runner.set_option("bits_allocated", 8 * pixels.dtype.itemsize)
    return bytes(pixels.tobytes())


def register() -> None:
    """Let pydicom find the plugin."""
    for syntax in DECODER_DEPENDENCIES:
        get_decoder(syntax).add_plugin(LABEL, (__name__, decode_frame.__name__))
