import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from tapetum.data.datasets._matlab_numbers import read_matlab_numbers
from tapetum.errors import DataError

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


def matrix(order, values, *, flags=9, dimensions=None, stored=2):
    """A matrix of bytes called "id"."""
    shape = (1, len(values)) if dimensions is None else dimensions
    return element(
        order,
        14,
        element(order, 6, struct.pack(f"{order}II", flags, 0))
        + element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape))
        + element(order, 1, b"id")
        + element(order, stored, bytes(values)),
    )


def header(order):
    return (
        b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + {"<": b"IM", ">": b"MI"}[order]
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
def test_both_byte_orders_are_read(tmp_path, order, compressed):
    path = tmp_path / "numbers.mat"
    content = matrix(order, [6, 10, 17])
    if compressed:
        packed = zlib.compress(content)
        content = struct.pack(f"{order}II", 15, len(packed)) + packed
    path.write_bytes(header(order) + content)
    assert read_matlab_numbers(path, "id").tolist() == [[6, 10, 17]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no MATLAB file of version 5 to 7.2"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM", "no MATLAB file of version 5 to 7.2"),
        (header("<"), "no variable 'id'"),
        (header("<") + b"\0\0\0", "damaged"),
        (header("<") + matrix("<", [6, 10])[:-4], "damaged, .*an element of .* bytes does not fit"),
        (header("<") + matrix("<", [6, 10], flags=4), "'id' holds no numbers: a variable of another type"),
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


@no_fixture_check
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4), st.integers(0, 2000))
@example([(177 - 128, 255)], 0)
def test_a_damaged_file_is_an_error_that_names_it_or_gives_numbers(tmp_path, changes, cut):
    path = tmp_path / "numbers.mat"
    savemat(path, {"id": np.arange(20, dtype=np.uint16)[None]})
    content = bytearray(path.read_bytes())
    for place, value in changes:
        content[128 + place % (len(content) - 128)] = value
    path.write_bytes(content[: len(content) - cut // 10])
    try:
        found = read_matlab_numbers(path, "id")
    except DataError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
    else:
        assert found.dtype.kind in "iuf"
