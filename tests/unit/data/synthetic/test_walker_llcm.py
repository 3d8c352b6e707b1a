"""The tree of LLCM, looked at with plain code."""

import re

import numpy as np
import pytest
from PIL import Image

from tapetum.data.synthetic import WalkerOptions, llcm, write_walkers

NAME = re.compile(r"(\d{4})_c(\d\d)_s(\d\d)(\d\d)(\d\d)_f\d+_(vis|nir)\.jpg")
TREES = ("vis", "nir")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("walkers") / "set"
    options = WalkerOptions(frame_size=(32, 16), images_per_camera=(1, 3))
    return write_walkers(root, "llcm", identities=30, seed=1, options=options, workers=1)


def listed(root, part, tree):
    pairs = [line.split(" ") for line in (root / f"idx/{part}_{tree}.txt").read_text().splitlines()]
    return [(path, int(label)) for path, label in pairs]


def people_of(root):
    text = (root / "idx/test_id.txt").read_text()
    assert re.fullmatch(r"\d+(,\d+)*\n", text)
    return [int(number) for number in text.split(",")]


def seen(root, person, tree):
    """Cameras that see a test person."""
    return {int(path.parent.name[3:]) for path in root.glob(f"test_{tree}/cam*/{person:04d}")}


@pytest.mark.parametrize("tree", TREES)
def test_names_tell_person_and_camera(written, tree):
    paths = list((written.root / tree).rglob("*.jpg"))
    for path in paths:
        person, _, hour, minute, second, kind = NAME.fullmatch(path.name).groups()
        assert (path.parent.name, kind) == (person, tree)
        assert max(int(hour) - 23, int(minute) - 59, int(second) - 59) <= 0
        assert (7 <= int(hour) < 19) == (tree == "vis")
    assert len({path.parent.name for path in paths}) == 30


@pytest.mark.parametrize("tree", TREES)
def test_both_trees_hold_the_same_files_of_people_of(written, tree):
    root, people = written.root, people_of(written.root)
    by_camera = {path.name: path for path in (root / f"test_{tree}").rglob("*.jpg")}
    by_person = {path.name: path for p in people for path in (root / f"{tree}/{p:04d}").iterdir()}
    assert set(by_camera) == set(by_person)
    for name, path in by_camera.items():
        assert path.read_bytes() == by_person[name].read_bytes()
        assert path.parts[-3] == f"cam{int(NAME.fullmatch(name).group(2))}"
        assert path.parts[-2] == name[:4]


@pytest.mark.parametrize("tree", TREES)
def test_lists(written, tree):
    root, people = written.root, people_of(written.root)
    train, test = listed(root, "train", tree), listed(root, "test", tree)
    assert len(people) == written.test_identities == 21
    assert people != sorted(people)
    files = {path.relative_to(root).as_posix() for path in (root / tree).rglob("*.jpg")}
    assert {path for path, _ in train} | {path for path, _ in test} == files
    assert len(train) + len(test) == len(files)
    assert {int(path.split("/")[1]) for path, _ in test} == set(people)
    assert not {int(path.split("/")[1]) for path, _ in train} & set(people)
    assert {label for _, label in train} == set(range(9))
    assert len({(path.split("/")[1], label) for path, label in train}) == 9


def test_a_label_is_the_same_person_by_day_and_by_night(written):
    for part in ("train", "test"):
        tables = [{(p.split("/")[1], n) for p, n in listed(written.root, part, tree)} for tree in TREES]
        assert tables[0] == tables[1]


def test_cameras(written):
    root, people = written.root, people_of(written.root)
    for tree in TREES:
        assert {path.name for path in (root / f"test_{tree}").iterdir()} == {f"cam{c}" for c in range(1, 10)}
        assert all(seen(root, person, tree) for person in people)
    assert not list((root / "test_nir/cam3").iterdir())
    assert list((root / "test_vis/cam3").iterdir())
    assert {int(NAME.fullmatch(p.name).group(2)) for p in (root / "nir").rglob("*.jpg")} == set(range(1, 10))
    both = [person for person in people if len(seen(root, person, "vis") | seen(root, person, "nir")) == 1]
    assert len(both) >= 3  # a query of theirs has no match left
    assert len(people) - 1 >= 20  # enough others for rank 20


def test_numbers_of_images(written):
    counts = {
        len(list(folder.iterdir())) for tree in TREES for folder in written.root.glob(f"test_{tree}/cam*/*")
    }
    assert counts == {1, 2, 3}
    assert written.frames == sum(len(list((written.root / tree).rglob("*.jpg"))) for tree in TREES)


@pytest.mark.parametrize("tree", TREES)
def test_infrared_images_have_equal_channels(written, tree):
    with Image.open(next((written.root / tree).rglob("*.jpg"))) as image:
        assert (image.size, image.mode) == ((16, 32), "RGB")
        pixels = np.asarray(image)
    assert bool((pixels == pixels[..., :1]).all()) == (tree == "nir")


def test_a_path_that_the_authors_scripts_misread_is_said(tmp_path, caplog, monkeypatch):
    options = WalkerOptions(frame_size=(16, 16), images_per_camera=(1, 1))
    monkeypatch.setattr(llcm, "draw_take", lambda cast, take: np.zeros((take.shots, 1, 1, 3), np.uint8))
    write_walkers(tmp_path / "plain", "llcm", identities=23, seed=0, options=options, workers=1)
    assert not caplog.records
    write_walkers(tmp_path / "campus", "llcm", identities=23, seed=0, options=options, workers=1)
    assert "'cam'" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"identities": 22}, "identities is 22; expected at least 23 for llcm"),
        ({"identities": 40, "test_identities": 20}, "test_identities is 20; expected 21 to 38"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_walkers(tmp_path / "set", "llcm", seed=0, **arguments)
    assert not list(tmp_path.iterdir())
