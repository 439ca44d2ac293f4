"""Careful pictures: JPEG and PNG of bounded size, whole and undamaged before they are decoded.

Pixels are taken as they are stored, because joints and label maps refer to them: an EXIF orientation is ignored unless
asked for. Functions raise `ValueError` with a predicate, as those of `data.files` do.
"""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np

MAX_SIDE = 16_384
"""The longest side of a picture that is read, in pixels."""
MAX_PIXELS = 64 * 2**20
"""The largest picture that is read, in pixels: a small file can claim to be a huge picture."""

_PNG = b"\x89PNG\r\n\x1a\n"
_GREY, _INDEXED = 0, 3  # PNG colour types
_JPEG, _END_OF_JPEG, _SCAN = b"\xff\xd8", b"\xff\xd9", 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x00, 0x01, *range(0xD0, 0xDA), 0xFF))  # these have no length behind them


def picture_size(data: bytes) -> tuple[int, int]:
    """(height, width) of an encoded picture, in pixels; nothing is decoded, but all of it must be there.

    Raises:
        ValueError: neither JPEG nor PNG, truncated, damaged, or larger than `MAX_SIDE` or `MAX_PIXELS`.
    """
    if data.startswith(_PNG):
        width, height, *_ = _png_header(data)
        for _ in _png_chunks(data):
            pass
    elif data.startswith(_JPEG):
        height, width = _jpeg_size(data)
    else:
        raise ValueError("is neither JPEG nor PNG")
    if not min(height, width):
        raise ValueError("has no pixels")
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise ValueError(
            f"is {width} x {height} pixels, too large ({MAX_SIDE} a side and {MAX_PIXELS:,} in all at most)"
        )
    return height, width


def decode_image(data: bytes, *, upright: bool = False) -> np.ndarray:
    """uint8[H, W, 3], RGB, of a colour, grey or CMYK picture; transparency is dropped, 16 bits become 8.

    Args:
        data: the encoded picture.
        upright: turn the picture by its EXIF orientation, for joints found on a picture so turned.

    Raises:
        ValueError: as `picture_size`, or it cannot be decoded.
    """
    picture_size(data)
    flags = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(_decode(data, flags), cv2.COLOR_BGR2RGB)


def decode_label_map(data: bytes) -> np.ndarray:
    """uint8[H, W] of a single-channel PNG: its 8-bit values, or the indices (not the colours) of a palette.

    Raises:
        ValueError: as `picture_size`, it cannot be decoded, or it is no 8-bit grey or palette PNG.
    """
    picture_size(data)
    if not data.startswith(_PNG):
        raise ValueError("is not a PNG")
    width, height, depth, colour = _png_header(data)
    if colour not in (_GREY, _INDEXED):
        raise ValueError("is a colour picture, not a single channel of part ids")
    if depth not in ((8,) if colour == _GREY else (1, 2, 4, 8)):
        raise ValueError(f"has {depth} bits a pixel, not 8")
    # OpenCV turns a palette into colours. Called grey, without its palette, the same file gives the indices,
    # which a depth below 8 spreads evenly over 0..255.
    header = b"IHDR" + struct.pack(">IIBB", width, height, depth, _GREY) + data[26:29]
    grey = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    pixels = [chunk for kind, chunk in _png_chunks(data) if kind in (b"IDAT", b"IEND")]
    return _decode(b"".join((_PNG, grey, *pixels)), cv2.IMREAD_GRAYSCALE) // (255 // (2**depth - 1))


def encode_png(picture: np.ndarray) -> bytes:
    """A PNG, lossless, of uint8[H, W, 3] (RGB) or uint8[H, W]."""
    rows = np.ascontiguousarray(picture[..., ::-1] if picture.ndim == 3 else picture)
    return cv2.imencode(".png", rows)[1].tobytes()


def encode_indexed_png(indices: np.ndarray, palette: np.ndarray) -> bytes:
    """A palette PNG: viewers show the colours, `decode_label_map` and Pillow give the indices.

    Args:
        indices: uint8[H, W], rows of `palette`.
        palette: uint8[C, 3], RGB.

    Raises:
        ValueError: an index has no colour.
    """
    if indices.max(initial=0) >= len(palette):
        raise ValueError(f"holds {indices.max()}, the palette only 0 to {len(palette) - 1}")
    height, width = indices.shape
    rows = np.pad(indices, ((0, 0), (1, 0)))  # before each row the number of its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, _INDEXED, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette.tobytes()), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return _PNG + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def encode_jpeg(picture: np.ndarray, *, quality: int = 90) -> bytes:
    """A JPEG of uint8[H, W, 3] (RGB)."""
    rows = np.ascontiguousarray(picture[..., ::-1])
    return cv2.imencode(".jpg", rows, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def _decode(data: bytes, flags: int) -> np.ndarray:
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError("cannot be decoded") from error
    if picture is None:
        raise ValueError("cannot be decoded")
    return picture


def _png_header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits a channel, colour type."""
    if len(data) < 33:
        raise ValueError("is truncated")
    if data[12:16] != b"IHDR":
        raise ValueError("is damaged (no PNG header)")
    return struct.unpack_from(">IIBB", data, 16)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The kind and the whole of every chunk, checksums compared, up to the end chunk."""
    view, at = memoryview(data), len(_PNG)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        chunk = view[at : at + 12 + length]
        if len(chunk) < 12 + length:
            break
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise ValueError("is damaged (a PNG checksum is wrong)")
        yield kind, chunk
        if kind == b"IEND":
            return
        at += len(chunk)
    raise ValueError("is truncated")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    size, at = None, len(_JPEG)
    while (at := data.find(b"\xff", at)) >= 0 and at + 9 < len(data):
        marker = data[at + 1]
        if marker in _JPEG_BARE:
            at += 1
            continue
        if marker in _JPEG_FRAMES:
            size = struct.unpack_from(">HH", data, at + 5)
        if marker == _SCAN:
            # Pixels cannot look like the end marker: an FF among them is followed by 00 or a restart.
            if size is None or data.rfind(_END_OF_JPEG, at) < 0:
                break
            return size
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    raise ValueError("is truncated")
