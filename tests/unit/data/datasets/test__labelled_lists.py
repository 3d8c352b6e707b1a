import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tapetum.data.datasets._labelled_lists import (
    file_notes,
    label_notes,
    label_people,
    read_labelled_list,
)
from tapetum.errors import DataError

no_fixture_check = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=80
)
STEMS = st.text("abc_0123456789 .-é", min_size=1, max_size=12).filter(
    lambda s: s.strip() == s and s[0] != "."
)
ROWS = st.lists(
    st.tuples(st.integers(0, 10**9 - 1), STEMS, st.sampled_from([".bmp", ".JPG"]), st.integers(0, 10**9 - 1)),
    min_size=1,
    unique_by=lambda row: row[:3],
)


def write(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return read_labelled_list(path, "Visible")


@no_fixture_check
@given(ROWS, st.sampled_from([" ", "  ", "\t"]), st.sampled_from(["\n", "\r\n", " \n"]), st.integers(0, 2))
def test_any_valid_list_reads_back_in_its_order(tmp_path, rows, blank, end, more):
    path = tmp_path / "train_visible_1.txt"
    text = end.join(f"Visible/{person}/{stem}{kind}{blank}{label}" for person, stem, kind, label in rows)
    path.write_text(text + more * end, encoding="utf-8", newline="")
    found = read_labelled_list(path, "Visible").images
    assert [(i.person, i.name, i.label) for i in found] == [(p, s + k, label) for p, s, k, label in rows]
    assert [i.place for i in found] == [f"Visible/{p}/{s}{k}" for p, s, k, _ in rows]
    assert [i.line for i in found] == list(range(1, len(rows) + 1))


@no_fixture_check
@given(st.lists(st.text("Visble/.0123456789mp \t\r-é٣", max_size=30), max_size=4) | st.binary(max_size=40))
@example(["Visible/1/a.bmp 0", "Visible/1/a.bmp 1"])
@example(["Visible/٣/a.bmp 0"])
@example(b"Visible/1/\xff.bmp 0")
def test_anything_else_is_an_error_that_names_the_file(error_of, tmp_path, garbage):
    path = tmp_path / "garbage.txt"
    path.write_bytes(garbage if isinstance(garbage, bytes) else "\n".join(garbage).encode())
    message = error_of(read_labelled_list, path, "Visible")
    if message is not None:
        assert message.startswith(f"{path}:")
        return
    found = read_labelled_list(path, "Visible")
    lines = path.read_text(encoding="utf-8-sig").rstrip().split("\n")
    assert len(lines) == len(found.images)
    for line, image in zip(lines, found.images, strict=True):
        place, label = line.rsplit(maxsplit=1)
        tree, person, name = place.split("/")
        assert (tree, person.isascii(), label.isascii()) == ("Visible", True, True)
        assert (int(person), name, int(label)) == (image.person, image.name, image.label)


@pytest.mark.parametrize(
    "line",
    [
        "Visible/285/male_back_v_05528_285.bmp",
        "Visible/285/male_back_v_05528_285.bmp0",
        "Visible/285/male_back_v_05528_285.bmp -1",
        "Visible/285/male_back_v_05528_285.bmp 0 1",
        "Visible/285/male_back_v_05528_285.txt 0",
        "Visible/285/.bmp 0",
        "Visible/285/more/male_back_v_05528_285.bmp 0",
        "Visible/male_back_v_05528_285.bmp 0",
        "Visible/../male_back_v_05528_285.bmp 0",
        "/Visible/285/male_back_v_05528_285.bmp 0",
        "Thermal/285/male_back_t_05528_285.bmp 0",
        "Visible\\285\\male_back_v_05528_285.bmp 0",
        "Visible/2850000000/male_back_v_05528_285.bmp 0",
        "",
    ],
)
def test_a_wrong_line_is_named(tmp_path, line):
    path = tmp_path / "test_visible_1.txt"
    with pytest.raises(
        DataError, match=r"test_visible_1\.txt:2: .*; expected .* Visible/<person>/<image> <label>"
    ):
        write(path, ["Visible/1/a.bmp 0", line, "Visible/1/b.bmp 0"])


def test_missing_and_empty_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.txt: no such file; expected an image and its label"):
        read_labelled_list(tmp_path / "none.txt", "Visible")
    with pytest.raises(DataError, match=r"empty\.txt: the file is empty"):
        write(tmp_path / "empty.txt", [" "])


def test_an_image_that_is_listed_again_is_named(tmp_path):
    lines = ["Visible/1/a.bmp 0", "Visible/2/a.bmp 1", "Visible/1/a.bmp 0"]
    with pytest.raises(DataError, match=r"list\.txt:3: Visible/1/a\.bmp is listed again; first in line 1"):
        write(tmp_path / "list.txt", lines)


def test_people_of_labels_over_several_lists(tmp_path):
    one = write(tmp_path / "one.txt", ["Visible/7/a.bmp 1", "Visible/9/a.bmp 0", "Visible/7/b.bmp 1"])
    other = write(tmp_path / "other.txt", ["Visible/5/c.bmp 2", "Visible/007/c.bmp 1"])
    assert list(label_people((one, other)).items()) == [(0, 9), (1, 7), (2, 5)]
    assert one.people == {7, 9}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "Visible/8/c.bmp 1",
            "label 1 for person 8, but for person 7 in one.txt:1; expected one person a label",
        ),
        ("Visible/7/c.bmp 3", "person 7 with label 3, but with label 1 in one.txt:1; expected one label a"),
    ],
)
def test_labels_that_are_not_one_to_one_are_named_with_both_places(tmp_path, line, message):
    lines = ["Visible/7/a.bmp 1", "Visible/9/a.bmp 0"]
    with pytest.raises(DataError, match=rf"one\.txt:3: {message}"):
        label_people((write(tmp_path / "one.txt", [*lines, line]),))
    lists = (write(tmp_path / "one.txt", lines), write(tmp_path / "two.txt", ["Visible/5/c.bmp 2", line]))
    with pytest.raises(DataError, match=rf"two\.txt:2: {message}"):
        label_people(lists)


def test_people_without_a_partner_and_gaps_in_labels_are_noted(tmp_path):
    one = write(tmp_path / "one.txt", ["Visible/7/a.bmp 1", "Visible/9/a.bmp 0"])
    other = write(tmp_path / "two.txt", ["Visible/7/b.bmp 1", "Visible/4/b.bmp 3"])
    assert list(label_notes("train", one, one)) == []
    assert list(label_notes("train", one, other)) == [
        "train: 2 people are in only one of one.txt and two.txt (first: 4)",
        "train: labels are not 0 to 2 without gaps; people keep their order",
    ]


def test_differences_between_lists_and_folders_are_noted(tmp_path):
    names = ["Visible/1/b.bmp", "Visible/1/a.bmp", "Visible/2/a.bmp"]
    found = write(tmp_path / "one.txt", [f"{name} {name[8]}" for name in names])
    assert list(file_notes(tmp_path, [found])) == [
        "3 listed images are not in their folders (first: Visible/1/b.bmp)"
    ]
    for name in (*names, "Visible/1/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(file_notes(tmp_path, [found])) == []
    (tmp_path / "Visible/1/a.bmp").rename(tmp_path / "Visible/2/c.bmp")
    assert list(file_notes(tmp_path, [found])) == [
        "1 listed images are not in their folders (first: Visible/1/a.bmp)",
        "1 images beside listed ones are on no list (first: Visible/2/c.bmp); skipped",
    ]
