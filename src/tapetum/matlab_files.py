"""Matrices of numbers, and cell arrays of them, from a MATLAB file of version 5 to 7.2.

Written for files that may be damaged: scipy's reader looks up the types in a file unchecked, and on a wrong
byte can take the whole process down. Every length and type is checked here before it is used. A file is a
header and elements; an element is a tag (type and size), its content, and padding to 8 bytes. The content of
a matrix is elements again: flags, dimensions, name, then the numbers or, in a cell array, a matrix per cell.
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
_CELL_CLASS = 1
_NUMBER_CLASSES = range(6, 16)
_COMPLEX_FLAG = 1 << 11
_MOST_BYTES = 1 << 24
"""Of one compressed element, decompressed: a few damaged bytes cannot ask for all memory."""
_MOST_LEVELS = 8
"""Of cell arrays in cell arrays."""
_UNSET = np.empty((0, 0))
"""What a cell holds that was never assigned: its matrix has no content at all, not even flags."""


def read_matlab_numbers(path: Path, name: str) -> NDArray[Any]:
    """The variable `name`, of at least two dimensions, in the type that it is stored in.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is of another format or damaged, or the variable is absent or of no real numbers.
    """
    return _variable(path, name, is_cell=False, expected="matrix of numbers")


def read_matlab_cells(path: Path, name: str) -> NDArray[np.object_]:
    """The cell array `name`: in each place a matrix as `read_matlab_numbers` gives it, or a cell array again.

    Raises:
        FileNotFoundError: No such file.
        DataError: The file is of another format or damaged, or the variable is absent or no cell array, or a
            cell holds something else, as a text.
    """
    return _variable(path, name, is_cell=True, expected="cell array")


_Element = tuple[int, memoryview]


def _variable(path: Path, name: str, *, is_cell: bool, expected: str) -> NDArray[Any]:
    content = path.read_bytes()
    order = _BYTE_ORDERS.get(content[_HEADER_BYTES - 4 : _HEADER_BYTES])
    if order is None:
        raise DataError(f"{path}: not a MATLAB file of version 5 to 7.2")
    try:
        for matrix in _matrices(memoryview(content)[_HEADER_BYTES:], order):
            if _name(matrix, order) == name:
                value = _value(matrix, order, _MOST_LEVELS)
                if is_cell == (value.dtype == np.object_):
                    return value
                break
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: damaged, or holds no {expected} {name}: {error}") from error
    raise DataError(f"{path}: holds no {expected} {name}")


def _matrices(content: memoryview, order: str) -> Iterator[memoryview]:
    """Contents of all matrix elements, decompressed."""
    for kind, element in _elements(content, order):
        if kind == _COMPRESSED:
            inflated = memoryview(zlib.decompressobj().decompress(element, _MOST_BYTES))
            yield from (inner for kind, inner in _elements(inflated, order) if kind == _MATRIX)
        elif kind == _MATRIX:
            yield element


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
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
        used = start + size - place
        place += used if kind == _COMPRESSED else used + -used % 8


def _name(matrix: memoryview, order: str) -> str:
    _, _, (_, name) = itertools.islice(_elements(matrix, order), 3)
    return str(name, "latin-1")


def _value(matrix: memoryview, order: str, levels: int) -> NDArray[Any]:
    """The numbers or cells in the content of a matrix; cell arrays may go `levels` deep."""
    elements = _elements(matrix, order)
    flags, dimensions, _ = itertools.islice(elements, 3)
    if flags[0] != _FLAG_TYPE or dimensions[0] not in _DIMENSION_TYPES:
        raise ValueError("no matrix")
    (word,) = struct.unpack_from(f"{order}I", flags[1])
    if word & 0xFF == _CELL_CLASS:
        values, what = _cells(elements, order, levels), "cells"
    elif word & 0xFF in _NUMBER_CLASSES and not word & _COMPLEX_FLAG:
        values, what = _numbers(next(elements, None), order), "numbers"
    else:
        raise ValueError("a variable of another type")
    shape = np.frombuffer(dimensions[1], dtype=f"{order}i4").tolist()
    if len(shape) < 2 or min(shape) < 0 or math.prod(shape) != len(values):
        raise ValueError(f"{len(values)} {what} in a matrix of shape {shape}")
    return values.reshape(shape, order="F")


def _numbers(element: _Element | None, order: str) -> NDArray[Any]:
    if element is None or element[0] not in _NUMBER_TYPES:
        raise ValueError("a variable of another type")
    return np.frombuffer(element[1], dtype=order + _NUMBER_TYPES[element[0]])


def _cells(elements: Iterator[_Element], order: str, levels: int) -> NDArray[np.object_]:
    if not levels:
        raise ValueError(f"more than {_MOST_LEVELS} levels of cells")
    values: list[NDArray[Any]] = []
    for kind, content in elements:
        if kind != _MATRIX:
            raise ValueError(f"an element of type {kind} as a cell")
        values.append(_value(content, order, levels - 1) if len(content) else _UNSET)
    cells = np.empty(len(values), dtype=np.object_)
    for place, value in enumerate(values):
        cells[place] = value
    return cells
