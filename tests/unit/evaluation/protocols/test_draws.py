import random
from itertools import accumulate

import pytest

from tapetum.evaluation.protocols._draws import (
    all_images,
    draw_seeds,
    drawn_images,
    file_name,
    image_folders,
)
from tapetum.types import Modality, Tracklet, TrackletSet

SIZES = (20, 29, 42, 1, 16, 33, 1, 8)
STARTS = (0, *accumulate(SIZES))
FOLDERS = {(f"{p:04d}", 1): range(STARTS[p], STARTS[p + 1]) for p in range(len(SIZES))}
CAMERAS = {Modality.VISIBLE: (1, 2), Modality.INFRARED: (1,)}


@pytest.mark.parametrize(
    ("seed", "picks"),
    [
        (0, [12, 24, 26, 0, 8, 32, 0, 6]),
        (1, [4, 18, 4, 0, 3, 31, 0, 7]),
        (2, [1, 2, 5, 0, 5, 19, 0, 3]),
    ],
)
def test_picks_are_those_of_the_published_table(seed, picks):
    rows = drawn_images("x", FOLDERS, (1,), seed)
    assert [int(row) - STARTS[place] for place, row in enumerate(rows)] == picks


@pytest.mark.parametrize("seed", range(10))
def test_one_of_a_sample_is_the_choice_of_the_scripts(seed):
    generator = random.Random(seed)
    assert drawn_images("x", FOLDERS, (1,), seed).tolist() == [generator.choice(f) for f in FOLDERS.values()]


def test_seeds_of_the_draws():
    assert list(draw_seeds(0)) == list(range(10))
    assert not set(draw_seeds(1)) & set(draw_seeds(0))
    with pytest.raises(ValueError, match="seed is -1; expected 0"):
        draw_seeds(-1)


def test_a_folder_that_is_not_there_uses_no_random_number():
    there = {**FOLDERS, ("0001", 2): range(500, 507)}
    without = {folder: rows for folder, rows in there.items() if folder != ("0001", 1)}
    first = drawn_images("x", there, (1, 2), 4).tolist()
    second = drawn_images("x", without, (1, 2), 4).tolist()
    assert drawn_images("x", without, (1, 3, 2, 9), 4).tolist() == second
    assert (len(first), len(second)) == (9, 8)
    assert first[0] == second[0]
    assert first[2:] != second[1:]  # the others are drawn from other numbers


def test_too_few_images_for_the_shots():
    assert len(drawn_images("x", {("0001", 1): range(10)}, (1,), 0, 10)) == 10
    with pytest.raises(ValueError, match=r"x: person 0003 has 1 images in camera 1; expected 10"):
        drawn_images("x", {("0003", 1): [5]}, (1,), 0, 10)


def test_cameras_without_anybody():
    for choose in (all_images, lambda *a: drawn_images(*a, 0)):
        with pytest.raises(ValueError, match="x needs test tracklets of the cameras 7, 8"):
            choose("x", FOLDERS, (7, 8))


def make(*rows) -> TrackletSet:
    """Rows of (person, camera, modality, path)."""
    return TrackletSet("toy", tuple(Tracklet(path, (), m, p, c) for p, c, m, path in rows))


def test_images_are_sorted_by_name_and_people_by_padded_number():
    """ "10" sorts before "9" as a text; a name with another ending sorts by all of it."""
    vis = [(10, 1, "b/0002.jpg"), (9, 2, "0001.jpg"), (9, 1, "z/0010.jpg"), (9, 1, "0009.jpg")]
    found = image_folders(
        "x", make(*((p, c, Modality.VISIBLE, t) for p, c, t in vis), (9, 1, Modality.INFRARED, "i")), CAMERAS
    )
    assert list(found[Modality.VISIBLE].items()) == [
        (("0009", 1), [3, 2]),
        (("0009", 2), [1]),
        (("0010", 1), [0]),
    ]
    assert found[Modality.INFRARED] == {("0009", 1): [4]}
    assert all_images("x", found[Modality.VISIBLE], (2, 1)).tolist() == [1, 3, 2, 0]
    assert file_name("a/b/c.jpg") == "c.jpg"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((None, 1, Modality.VISIBLE, "a/1.jpg"), "a/1.jpg of toy has person None and camera 1"),
        (
            (4, 2, Modality.INFRARED, "a/1.jpg"),
            r"infrared tracklet a/1.jpg .* camera 2; .* infrared cameras 1$",
        ),
        ((4, "1", Modality.VISIBLE, "a/1.jpg"), "camera '1'; expected .* visible cameras 1, 2"),
        ((4, 1, Modality.VISIBLE, "a/1.jpg"), "x needs infrared test tracklets; toy has none"),
    ],
)
def test_tracklets_that_do_not_fit_are_named(row, message):
    with pytest.raises(ValueError, match=message):
        image_folders("x", make(row), CAMERAS)
