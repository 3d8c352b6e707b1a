import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from tapetum.data.datasets._id_lists import (
    IdList,
    read_id_list,
    read_matlab_ids,
    read_twin_id_lists,
    refuse_shared_people,
)
from tapetum.errors import DataError

no_fixture_check = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80
)
IDS = st.lists(st.integers(0, 10**9 - 1), min_size=1, max_size=30)


@no_fixture_check
@given(
    IDS,
    st.sampled_from([",", ", ", " ,\t"]),
    st.sampled_from(["", "\n", "\r\n", ",\n", " \n\n"]),
    st.booleans(),
    st.booleans(),
)
def test_any_valid_list_reads_back(tmp_path, ids, comma, end, padded, marked):
    path = tmp_path / "test_id.txt"
    text = comma.join(f"{i:04d}" if padded else str(i) for i in ids)
    path.write_text(("\ufeff" if marked else "") + text + end, encoding="utf-8", newline="")
    found = read_id_list(path)
    assert found.ids == tuple(dict.fromkeys(ids))
    assert bool(found.notes) == (len(set(ids)) < len(ids))


@no_fixture_check
@given(st.text("0123456789,, \n-.é٣", max_size=20) | st.binary(max_size=20))
@example("6,,10")
@example(",6")
@example("\n6,10")
@example("6,-1")
@example("6,1.0")
@example("6 10")
@example("1234567890")
@example("٣")
@example(b"6,\xff")
def test_anything_else_is_an_error_that_names_the_file(error_of, tmp_path, garbage):
    path = tmp_path / "garbage.txt"
    path.write_bytes(garbage if isinstance(garbage, bytes) else garbage.encode())
    message = error_of(read_id_list, path)
    if message is not None:
        assert message.startswith(f"{path}:")
        return
    first = path.read_text(encoding="utf-8-sig").splitlines()[0]
    assert first.isascii()
    assert read_id_list(path).ids == tuple(
        dict.fromkeys(int(token) for token in first.split(",") if token.strip())
    )


@pytest.mark.parametrize("text", ["", "\n", " \n6,10\n"])
def test_an_empty_first_line_is_refused(tmp_path, text):
    path = tmp_path / "val_id.txt"
    path.write_text(text)
    with pytest.raises(
        DataError, match=r"val_id\.txt:1: ''; expected one line of person ids such as 6,10,17"
    ):
        read_id_list(path)


def test_the_wrong_id_is_named(tmp_path):
    path = tmp_path / "val_id.txt"
    path.write_text("6,x7,10\n")
    with pytest.raises(DataError, match=r"val_id\.txt:1: 'x7'; expected"):
        read_id_list(path)


def test_later_lines_and_repeats_are_noted(tmp_path):
    path = tmp_path / "val_id.txt"
    path.write_text("6,10,6,6\n17\n")
    assert read_id_list(path) == IdList(
        path,
        (6, 10),
        (
            "val_id.txt: 2 ids are listed again; each counts once",
            "val_id.txt: only the first of its lines is read, as in published results",
        ),
    )


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float64])
@pytest.mark.parametrize("shape", [(1, -1), (-1, 1)])
def test_ids_of_a_matlab_file(tmp_path, kind, shape):
    path = tmp_path / "id.mat"
    savemat(path, {"id": np.array([533, 6, 10], dtype=kind).reshape(shape), "other": np.zeros(2)})
    assert read_matlab_ids(path).ids == (533, 6, 10)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ids": np.ones((1, 2))}, "holds no matrix of numbers id"),
        ({"id": np.ones((2, 2))}, r"'id' is of shape \(2, 2\); expected whole numbers, 1 x N"),
        ({"id": np.ones((0, 0))}, r"'id' is of shape \(0, 0\)"),
        ({"id": "6,10"}, "damaged, or holds no matrix of numbers id"),
        ({"id": np.array([[6.5]])}, "6.5 in 'id'; expected whole numbers from 0"),
        ({"id": np.array([[6, -1]])}, "-1 in 'id'"),
        ({"id": np.array([[6, np.nan]])}, "nan in 'id'"),
    ],
)
def test_other_matlab_files_are_refused(tmp_path, variables, message):
    path = tmp_path / "id.mat"
    savemat(path, variables)
    with pytest.raises(DataError, match=rf"id\.mat: {message}"):
        read_matlab_ids(path)


def test_the_text_file_wins_where_its_twin_cannot_be_read(tmp_path):
    (tmp_path / "val_id.txt").write_text("6,10")
    (tmp_path / "val_id.mat").write_bytes(b"damaged")
    found = read_twin_id_lists(tmp_path / "val_id.txt")
    assert found.ids == (6, 10)
    (note,) = found.notes
    assert note.startswith(f"val_id.txt is not compared: {tmp_path / 'val_id.mat'}: not a MATLAB file")
    (tmp_path / "val_id.txt").unlink()
    with pytest.raises(DataError, match=r"val_id\.mat: not a MATLAB file"):
        read_twin_id_lists(tmp_path / "val_id.txt")


def test_lists_that_share_nobody_pass(tmp_path):
    lists = [IdList(tmp_path / name, ids) for name, ids in (("a", (1, 2)), ("b", (3,)), ("c", ()))]
    refuse_shared_people(lists)
    with pytest.raises(DataError, match=r"d: 2 people are also in a, first: 1; expected other people"):
        refuse_shared_people([*lists, IdList(tmp_path / "d", (2, 9, 1))])
