"""The tree of SYSU-MM01, looked at with plain code."""

import re

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from tapetum.data.synthetic import WalkerOptions, sysu_mm01, write_walkers

GALLERY = (1, 2, 4, 5)


def write(root, identities, **options):
    chosen = WalkerOptions(frame_size=(16, 16), **options)
    test = identities - 11
    return write_walkers(
        root, "sysu-mm01", identities=identities, seed=5, test_identities=test, options=chosen, workers=1
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A set of the usual size; its pictures are empty, as few look at them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sysu_mm01, "draw_take", lambda cast, take: np.zeros((take.shots, 1, 1, 3), np.uint8))
        return write(tmp_path_factory.mktemp("walkers") / "set", 36)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """A set of few pictures, drawn."""
    return write(tmp_path_factory.mktemp("walkers") / "set", 32, images_per_camera=(2, 5))


@pytest.fixture(scope="module")
def images(written):
    """Images by camera and person."""
    found = {}
    for path in written.root.glob("cam*/*/*"):
        assert re.fullmatch(r"cam[1-6]/\d{4}/\d{4}\.jpg", path.relative_to(written.root).as_posix())
        place = int(path.parts[-3][3:]), int(path.parts[-2])
        found.setdefault(place, []).append(int(path.stem))
    return found


def ids(root, part):
    text = (root / f"exp/{part}_id.txt").read_text()
    assert re.fullmatch(r"\d+(,\d+)*\n", text)
    return [int(number) for number in text.split(",")]


def cameras_of(images, person):
    return {camera for camera, other in images if other == person}


def test_numbers_of_images_have_no_gaps(written, images):
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in images.values())
    assert sum(map(len, images.values())) == written.frames == written.tracklets


def test_lists_are_one_unsorted_line_and_equal_those_for_matlab(written, images):
    parts = {part: ids(written.root, part) for part in ("train", "val", "test", "available")}
    assert [len(parts[part]) for part in ("train", "val", "test")] == [9, 2, 25]
    assert (written.train_identities, written.test_identities) == (11, 25)
    for part, numbers in parts.items():
        assert numbers != sorted(numbers)
        stored = loadmat(written.root / f"exp/{part}_id.mat")["id"]
        assert (stored.shape, stored.dtype) == ((1, len(numbers)), np.uint16)
        assert stored[0].tolist() == numbers
    together = parts["train"] + parts["val"] + parts["test"]
    assert sorted(together) == sorted(parts["available"]) == sorted(set(together))
    assert {person for _, person in images} == set(together)
    assert max(together) > len(together)  # gaps


def test_cameras_of_training_people(written, images):
    validation = ids(written.root, "val")
    assert {camera for person in validation for camera in cameras_of(images, person)} == {3, 4, 5}
    early = {person for camera, person in images if camera in (1, 2, 6)}
    assert max(early) < min(validation)
    for person in ids(written.root, "train") + validation:
        assert cameras_of(images, person) & {3, 6}
        assert cameras_of(images, person) & set(GALLERY)
    assert max(ids(written.root, "train")) > max(validation)


def test_cameras_of_test_people(written, images):
    seen = {person: cameras_of(images, person) for person in ids(written.root, "test")}
    indoors = [person for person, cameras in seen.items() if 1 in cameras]
    assert len(indoors) >= 20
    assert indoors == [person for person, cameras in seen.items() if 2 in cameras]
    assert any(not cameras & {1, 2} for cameras in seen.values())
    assert any(3 not in cameras for cameras in seen.values())
    assert all(cameras & {3, 6} and cameras & {1, 4, 5} for cameras in seen.values())


def test_numbers_at_which_draws_may_go_wrong(written, images):
    test = ids(written.root, "test")
    counts = {place: len(numbers) for place, numbers in images.items() if place[1] in test}
    gallery = {count for (camera, _), count in counts.items() if camera in GALLERY}
    assert {15, 16} <= gallery
    assert min(gallery) >= 10  # enough for multi-shot
    assert 1 in counts.values()


def test_few_images_leave_single_ones_in_the_gallery(few):
    folders = [
        few.root / f"cam{camera}/{person:04d}" for person in ids(few.root, "test") for camera in GALLERY
    ]
    counts = {len(list(folder.iterdir())) for folder in folders if folder.exists()}
    assert counts == {1, 2, 3, 4, 5}


def test_permutations_are_those_of_the_images(written, images):
    permutations = loadmat(written.root / "exp/rand_perm_cam.mat")["rand_perm_cam"]
    assert (permutations.shape, permutations.dtype) == ((6, 1), object)
    drawn = set()
    for camera in range(1, 7):
        cells = permutations[camera - 1][0]
        assert cells.shape == (max(person for other, person in images if other == camera), 1)
        for person, cell in enumerate(cells.squeeze(), start=1):
            numbers = images.get((camera, person), [])
            assert (cell.shape, cell.dtype) == ((10, len(numbers)), np.uint8)
            assert all(sorted(row) == sorted(numbers) for row in cell.tolist())
            drawn.add(str(cell[0]))
    assert len(drawn) > 50


def test_matlab_files_tell_neither_hour_nor_machine(written):
    for path in (written.root / "exp").glob("*.mat"):
        assert path.read_bytes()[:116].rstrip() == b"MATLAB 5.0 MAT-file, tapetum synthetic walkers"


@pytest.mark.parametrize("camera", range(1, 7))
def test_infrared_images_have_equal_channels(few, camera):
    path = next((few.root / f"cam{camera}").rglob("*.jpg"))
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((16, 16), "RGB")
        red, green, blue = (np.asarray(image)[..., channel] for channel in range(3))
    equal = np.array_equal(red, green) and np.array_equal(green, blue)
    assert equal == (camera in (3, 6))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"identities": 24}, "identities is 24; expected at least 25 for sysu-mm01"),
        ({"identities": 40, "test_identities": 20}, "test_identities is 20; expected 21 to 36"),
        ({"identities": 40, "test_identities": 37}, "test_identities is 37"),
        ({"identities": 9000}, "9000 people are numbered up to"),
        ({"identities": 30, "options": WalkerOptions(images_per_camera=(10, 128))}, "up to 128; .* 127"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_walkers(tmp_path / "set", "sysu-mm01", seed=0, **arguments)
    assert not list(tmp_path.iterdir())
