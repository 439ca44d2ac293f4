"""TensorBoard event files, written without TensorFlow: numbers and pictures over steps, for `tensorboard --logdir`.

A file is a sequence of records: length (uint64), its checksum, an `Event` protocol buffer, its checksum. Checksums are
CRC-32C (Castagnoli), rotated and shifted as TFRecord has it. Sources: tensorflow/core/lib/io/record_writer.h and
tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto.
"""

import os
import socket
import struct
import time
from pathlib import Path

_WIRE_VARINT, _WIRE_64, _WIRE_BYTES, _WIRE_32 = 0, 1, 2, 5


class EventFile:
    """One event file of a training in `folder`. Every measurement is on disk when `write` returns.

    Args:
        folder: gets the file; earlier files stay, TensorBoard reads all of them.
        step: the step to go on from: what earlier files say of later steps no longer counts.
    """

    def __init__(self, folder: Path, step: int):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time_ns() // 10**6:013d}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("ab")
        self._event(0, _bytes(3, b"brain.Event:2"))
        if step:
            self._event(step + 1, _bytes(7, _varint_field(1, 1)))  # session_log.status = START

    def write(self, step: int, **values: float) -> None:
        """Numbers at a step."""
        summary = b"".join(
            _bytes(1, _bytes(1, name.encode()) + _key(2, _WIRE_32) + struct.pack("<f", value))
            for name, value in values.items()
        )
        self._event(step, _bytes(5, summary))

    def write_picture(self, step: int, name: str, png: bytes) -> None:
        """An RGB picture at a step."""
        width, height = struct.unpack(">II", png[16:24])  # of the header chunk
        sides = _varint_field(1, height) + _varint_field(2, width)
        picture = sides + _varint_field(3, 3) + _bytes(4, png)  # colorspace 3: RGB
        self._event(step, _bytes(5, _bytes(1, _bytes(1, name.encode()) + _bytes(4, picture))))

    def _event(self, step: int, content: bytes) -> None:
        event = _key(1, _WIRE_64) + struct.pack("<d", time.time()) + _varint_field(2, step) + content
        length = struct.pack("<Q", len(event))
        self._file.write(length + _masked(length) + event + _masked(event))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes([low]) if not rest else bytes([low | 128]) + _varint(rest)


def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _varint_field(field: int, number: int) -> bytes:
    return _key(field, _WIRE_VARINT) + _varint(number)


def _bytes(field: int, data: bytes) -> bytes:
    return _key(field, _WIRE_BYTES) + _varint(len(data)) + data


def _table() -> list[int]:
    def entry(byte: int) -> int:
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        return byte

    return [entry(byte) for byte in range(256)]


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C of bytes (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 255]
    return value ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    value = crc32c(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)
