"""A matrix of numbers from a MATLAB file of version 5 to 7.2.

Written for files that may be damaged: scipy's reader looks up the types in a file unchecked, and on a wrong
byte can take the whole process down. Every length and type is checked here before it is used. A file is a
header and elements; an element is a tag (type and size), its content, and padding to 8 bytes.
"""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapetum.errors import DataError

_HEADER_BYTES = 128
_BYTE_ORDERS = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
"""Version 1 and the mark of the byte order, as they end the header."""
_MATRIX, _COMPRESSED = 14, 15
_NUMBER_TYPES = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
_FLAG_TYPE, _DIMENSION_TYPES = 6, (5, 6)
_NUMBER_CLASSES = range(6, 16)
_COMPLEX_FLAG = 1 << 11
_MOST_BYTES = 1 << 26


def read_matlab_numbers(path: Path, name: str) -> NDArray[Any]:
    """The variable `name`, of at least two dimensions, in the type that it is stored in.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is of another format or damaged, or the variable is absent or of no real numbers.
    """
    content = path.read_bytes()
    order = _BYTE_ORDERS.get(content[_HEADER_BYTES - 4 : _HEADER_BYTES])
    if order is None:
        raise DataError(f"{path}: no MATLAB file of version 5 to 7.2")
    try:
        for element in _matrices(content[_HEADER_BYTES:], order):
            flags, dimensions, title, *numbers = itertools.islice(_elements(element, order), 4)
            if title[1].decode("latin-1") == name:
                return _numbers(flags, dimensions, numbers, order)
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: damaged, or {name!r} holds no numbers: {error}") from error
    raise DataError(f"{path}: no variable {name!r}")


_Element = tuple[int, bytes]


def _matrices(content: bytes, order: str) -> Iterator[bytes]:
    """Contents of all matrix elements, decompressed."""
    for kind, element in _elements(content, order):
        if kind == _COMPRESSED:
            inflated = zlib.decompressobj().decompress(element, _MOST_BYTES)
            yield from (inner for kind, inner in _elements(inflated, order) if kind == _MATRIX)
        elif kind == _MATRIX:
            yield element


def _elements(content: bytes, order: str) -> Iterator[_Element]:
    """Type and content of each element; up to 4 bytes may stand in the tag itself."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
        if start + size > len(content) or (start == place + 4 and size > 4):
            raise ValueError(f"an element of {size} bytes does not fit")
        yield kind, content[start : start + size]
        end = start + size
        place = end if kind == _COMPRESSED else end + -end % 8


def _numbers(flags: _Element, dimensions: _Element, numbers: list[_Element], order: str) -> NDArray[Any]:
    if flags[0] != _FLAG_TYPE or dimensions[0] not in _DIMENSION_TYPES:
        raise ValueError("no matrix")
    (word,) = struct.unpack_from(f"{order}I", flags[1])
    shape = np.frombuffer(dimensions[1], dtype=f"{order}i4").tolist()
    is_real = word & 0xFF in _NUMBER_CLASSES and not word & _COMPLEX_FLAG
    if not is_real or not numbers or numbers[0][0] not in _NUMBER_TYPES:
        raise ValueError("a variable of another type")
    values = np.frombuffer(numbers[0][1], dtype=order + _NUMBER_TYPES[numbers[0][0]])
    if len(shape) < 2 or min(shape) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} numbers in a matrix of shape {shape}")
    return values.reshape(shape, order="F")
