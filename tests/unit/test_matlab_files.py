import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from tapetum.errors import DataError
from tapetum.matlab_files import read_matlab_cells, read_matlab_numbers

no_fixture_check = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80
)
KINDS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 96), (96, 1), (2, 3), (2, 3, 4), (0, 0)])
def test_files_of_scipy_read_back(tmp_path, kind, shape, compressed):
    path = tmp_path / "numbers.mat"
    values = np.arange(np.prod(shape), dtype=kind).reshape(shape)
    others = {
        "a": np.ones((3, 3)),
        "cells": np.array([[1, 2], 3], dtype=object),
        "text": "id",
        "s": {"id": 1},
    }
    savemat(path, others | {"id": values}, do_compression=compressed)
    found = read_matlab_numbers(path, "id")
    assert found.dtype == np.dtype(kind)
    np.testing.assert_array_equal(found, values)


def element(order, kind, content):
    """An element with a tag of 8 bytes."""
    return struct.pack(f"{order}II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(order, values=(), *, flags=9, dimensions=None, stored=2, name=b"id", cells=None):
    """A matrix of bytes, or a cell array of the elements `cells`."""
    shape = (1, len(values if cells is None else cells)) if dimensions is None else dimensions
    content = element(order, stored, bytes(values)) if cells is None else b"".join(cells)
    return element(
        order,
        14,
        element(order, 6, struct.pack(f"{order}II", flags if cells is None else 1, 0))
        + element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape))
        + element(order, 1, name)
        + content,
    )


def header(order):
    return (
        b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + {"<": b"IM", ">": b"MI"}[order]
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_both_byte_orders_and_what_follows_are_read(tmp_path, order, compressed):
    path = tmp_path / "numbers.mat"
    content = matrix(order, [6, 10, 17])
    if compressed:
        packed = zlib.compress(content)
        content = struct.pack(f"{order}II", 15, len(packed)) + packed
    last = matrix(order, cells=[matrix(order, [1, 2])], name=b"cells")
    path.write_bytes(header(order) + content + matrix(order, [3], name=b"other") + last)
    assert read_matlab_numbers(path, "id").tolist() == [[6, 10, 17]]
    assert read_matlab_cells(path, "cells")[0, 0].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a MATLAB file of version 5 to 7.2"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "not a MATLAB file of version 5 to 7.2"),
        (header("<"), "holds no matrix of numbers id"),
        (header("<") + b"\0\0\0", "damaged"),
        (header("<") + matrix("<", [6, 10])[:-4], "damaged, .*an element of .* bytes does not fit"),
        (
            header("<") + matrix("<", [6, 10], flags=4),
            "holds no matrix of numbers id: a variable of another type",
        ),
        (header("<") + matrix("<", [6, 10], flags=9 | 1 << 11), "a variable of another type"),
        (header("<") + matrix("<", [6, 10], stored=0xFF04), "a variable of another type"),
        (header("<") + matrix("<", [6, 10], dimensions=(1, 3)), r"2 numbers in a matrix of shape \[1, 3\]"),
        (
            header("<") + matrix("<", [6, 10], dimensions=(-1, -2)),
            r"2 numbers in a matrix of shape \[-1, -2\]",
        ),
        (header("<") + matrix("<", [6, 10], dimensions=(2,)), r"2 numbers in a matrix of shape \[2\]"),
        (header("<") + element("<", 14, b""), "damaged"),
        (header("<") + struct.pack("<HH", 14, 5) + bytes(8), "damaged, .*an element of 5 bytes does not fit"),
        (header("<") + element("<", 15, b"no zlib stream"), "damaged"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "numbers.mat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"numbers\.mat: .*{message}"):
        read_matlab_numbers(path, "id")


def cell_array(shape, *values):
    cells = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        cells[place] = value
    return cells.reshape(shape)


def same(found, expected):
    """Whether two values agree in shapes, types and numbers, through all levels of cells."""
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return False
    if expected.dtype != object:
        return np.array_equal(found, expected)
    return all(same(a, b) for a, b in zip(found.ravel(), expected.ravel(), strict=True))


def permutations(people, seed=0):
    """As `rand_perm_cam.mat`: 6 cameras, of each a cell per person of 10 x n bytes, n from 0."""
    rng = np.random.default_rng(seed)
    matrices = [
        [rng.integers(1, 30, (10, int(count)), dtype=np.uint8) for count in rng.integers(0, 30, people)]
        for _ in range(6)
    ]
    matrices[0][0] = np.empty((10, 0), np.uint8)
    return cell_array((6, 1), *(cell_array((people, 1), *camera) for camera in matrices))


DEEP = cell_array((1, 1), cell_array((1, 1), cell_array((2, 1), np.eye(2), np.ones((1, 3), np.int16))))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "cells",
    [
        permutations(12),
        permutations(440),
        DEEP,
        cell_array((2, 3), *(np.full((2, 2), n, np.uint8) for n in range(6))),
        cell_array((0, 0)),
        cell_array((1, 2), cell_array((0, 3)), np.empty((0, 4))),
    ],
)
def test_cell_arrays_of_scipy_read_back(tmp_path, cells, compressed):
    path = tmp_path / "cells.mat"
    savemat(path, {"first": np.ones((2, 2)), "cells": cells, "text": "x"}, do_compression=compressed)
    assert same(read_matlab_cells(path, "cells"), cells)
    with pytest.raises(DataError, match=r"cells\.mat: holds no cell array first"):
        read_matlab_cells(path, "first")
    with pytest.raises(DataError, match=r"cells\.mat: holds no matrix of numbers cells"):
        read_matlab_numbers(path, "cells")


def test_numbers_stored_in_a_smaller_type_and_cells_never_set(tmp_path):
    path = tmp_path / "cells.mat"
    doubles = matrix("<", [3, 1, 2], flags=6, stored=2)
    path.write_bytes(header("<") + matrix("<", cells=[doubles, element("<", 14, b"")]))
    numbers, unset = read_matlab_cells(path, "id")[0]
    assert numbers.tolist() == [[3, 1, 2]]
    assert unset.shape == (0, 0)


def nested(levels):
    content = matrix("<", [1])
    for _ in range(levels):
        content = matrix("<", cells=[content])
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (matrix("<", [1], name=b"other"), "holds no cell array id"),
        (
            matrix("<", cells=[matrix("<", [1])] * 3, dimensions=(2, 2)),
            r"3 cells in a matrix of shape \[2, 2\]",
        ),
        (matrix("<", cells=[matrix("<", [1]), element("<", 2, b"12")]), "an element of type 2 as a cell"),
        (matrix("<", cells=[matrix("<", [1], flags=4)]), "a variable of another type"),
        (matrix("<", cells=[element("<", 14, bytes(4))]), "damaged"),
        (nested(9), "more than 8 levels of cells"),
        (nested(3000), "more than 8 levels of cells"),
    ],
)
def test_other_cells_are_refused(tmp_path, content, message):
    path = tmp_path / "cells.mat"
    path.write_bytes(header("<") + content)
    with pytest.raises(DataError, match=rf"cells\.mat: .*{message}"):
        read_matlab_cells(path, "id")


def test_a_small_file_cannot_ask_for_much_memory(tmp_path):
    path = tmp_path / "cells.mat"
    packed = zlib.compress(struct.pack("<II", 14, 1 << 27) + bytes(1 << 27), 1)
    path.write_bytes(header("<") + struct.pack("<II", 15, len(packed)) + packed)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"damaged, .*an element of 134217728 bytes does not fit"):
        read_matlab_cells(path, "id")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 26


def numbers_or_refusal(path, content, read, name, kinds):
    """Read a damaged file: a value of the kinds of types comes out, or a DataError that names the file."""
    path.write_bytes(content)
    try:
        found = read(path, name)
    except DataError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
    else:
        assert found.dtype.kind in kinds


@pytest.mark.parametrize("compressed", [False, True])
def test_each_damaged_byte_and_each_cut_gives_an_error_or_cells(tmp_path, compressed):
    path = tmp_path / "cells.mat"
    cells = cell_array((2, 1), cell_array((2, 1), np.empty((10, 0), np.uint8), np.eye(2)), np.ones((1, 3)))
    savemat(path, {"cells": cells}, do_compression=compressed)
    whole = path.read_bytes()
    for place in range(124, len(whole)):
        numbers_or_refusal(path, whole[:place], read_matlab_cells, "cells", "O")
        for change in (0x01, 0x04, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= change
            numbers_or_refusal(path, damaged, read_matlab_cells, "cells", "O")


@no_fixture_check
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.integers(0, 2000))
@example([(177 - 128, 255)], 0)
def test_a_damaged_file_is_an_error_that_names_it_or_gives_numbers(tmp_path, changes, cut):
    path = tmp_path / "numbers.mat"
    savemat(path, {"id": np.arange(20, dtype=np.uint16)[None]})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[128 + place % (len(content) - 128)] = value
    numbers_or_refusal(path, content[: len(content) - cut // 10], read_matlab_numbers, "id", "iuf")
