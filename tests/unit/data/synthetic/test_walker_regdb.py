"""The tree of RegDB, looked at with plain code."""

import re

import numpy as np
import pytest
from PIL import Image

from tapetum.data.synthetic import WalkerOptions, write_walkers

PEOPLE = 8
TRIALS = range(1, 11)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("walkers") / "set"
    options = WalkerOptions(frame_size=(32, 16))
    written = write_walkers(root, "regdb", identities=PEOPLE, seed=3, options=options, workers=1)
    assert (written.train_identities, written.test_identities) == (PEOPLE // 2, PEOPLE // 2)
    assert (written.tracklets, written.frames) == (20 * PEOPLE, 20 * PEOPLE)
    return root


def lines(root, part, tree, trial):
    found = []
    for line in (root / f"idx/{part}_{tree}_{trial}.txt").read_text().splitlines():
        path, label = line.split(" ")
        found.append((path, int(label)))
    return found


@pytest.mark.parametrize(("tree", "letter"), [("Visible", "v"), ("Thermal", "t")])
def test_everybody_has_ten_pictures(root, tree, letter):
    folders = {int(folder.name): folder for folder in (root / tree).iterdir()}
    assert sorted(folders) == list(range(1, PEOPLE + 1))
    for person, folder in folders.items():
        names = sorted(path.name for path in folder.iterdir())
        assert len(names) == 10
        pattern = rf"(male|female)_(front|back)_{letter}_\d{{5}}_{person}\.bmp"
        assert all(re.fullmatch(pattern, name) for name in names)


def test_both_cameras_see_the_same_moments(root):
    for visible in (root / "Visible").rglob("*.bmp"):
        name = visible.name.replace("_v_", "_t_")
        assert (root / "Thermal" / visible.parent.name / name).exists()


def test_pictures_have_three_channels_equal_for_thermal(root):
    for tree, equal in (("Visible", False), ("Thermal", True)):
        with Image.open(next((root / tree).rglob("*.bmp"))) as image:
            assert (image.format, image.mode, image.size) == ("BMP", "RGB", (16, 32))
            pixels = np.asarray(image)
        assert bool((pixels == pixels[..., :1]).all()) == equal


def test_forty_lists_and_nothing_else(root):
    expected = {
        f"{part}_{tree}_{trial}.txt"
        for part in ("train", "test")
        for tree in ("visible", "thermal")
        for trial in TRIALS
    }
    assert {path.name for path in (root / "idx").iterdir()} == expected
    assert {path.name for path in root.iterdir()} == {"Visible", "Thermal", "idx", "walkers.json"}


@pytest.mark.parametrize("trial", TRIALS)
def test_halves_of_a_trial(root, trial):
    halves = []
    for part in ("train", "test"):
        labels = {}
        for tree in ("visible", "thermal"):
            listed = lines(root, part, tree, trial)
            assert len(listed) == len(set(listed)) == 10 * PEOPLE // 2 >= 20
            assert all((root / path).is_file() for path, _ in listed)
            people = {int(path.split("/")[1]): label for path, label in listed}
            assert {path.split("/")[0] for path, _ in listed} == {tree.capitalize()}
            assert len({(path.split("/")[1], label) for path, label in listed}) == PEOPLE // 2
            labels[tree] = people
        assert labels["visible"] == labels["thermal"]
        assert sorted(labels["visible"].values()) == list(range(PEOPLE // 2))
        orders = [[label for _, label in lines(root, part, tree, trial)] for tree in ("visible", "thermal")]
        assert orders[0] != orders[1]
        assert orders[0] != sorted(orders[0])  # a person's lines are not adjacent
        halves.append(set(labels["visible"]))
    assert halves[0] | halves[1] == set(range(1, PEOPLE + 1))
    assert not halves[0] & halves[1]


def test_trials_differ(root):
    halves = {frozenset(path.split("/")[1] for path, _ in lines(root, "test", "visible", t)) for t in TRIALS}
    assert len(halves) > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"identities": 2}, "identities is 2; expected an even number of at least 4"),
        ({"identities": 9}, "identities is 9; expected an even number"),
        ({"identities": 8, "test_identities": 3}, "test_identities is 3; expected 4, a half"),
        ({"identities": 8, "options": WalkerOptions(jpeg_quality=50)}, "jpeg_quality .* BMP"),
        ({"identities": 8, "options": WalkerOptions(images_per_camera=(3, 4))}, "images_per_camera .* 10"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_walkers(tmp_path / "set", "regdb", seed=0, **arguments)
    assert not list(tmp_path.iterdir())
