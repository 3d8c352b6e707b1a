"""The tree of BUPTCampus, looked at with plain code."""

import json
import pickle
from collections import Counter
from itertools import pairwise

import lmdb
import numpy as np
import pytest
from PIL import Image

from tapetum.data.synthetic import WalkerOptions, formats, write_walkers
from tapetum.errors import MissingExtraError

CAMERAS = {"LS3", "G25", "CQ1", "W4", "TSG1", "TSG2"}
OPTIONS = WalkerOptions(frame_size=(32, 16), tracklet_length=(12, 14))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("walkers") / "set"
    return write_walkers(root, "bupt-campus", identities=12, seed=4, options=OPTIONS, workers=1)


@pytest.fixture(scope="module")
def table(written):
    """Paths by person, modality, camera and tracklet, all texts."""
    data = json.loads((written.root / "data_paths.json").read_text())
    return {
        (person, modality, camera, tracklet): paths
        for person, modalities in data.items()
        for modality, cameras in modalities.items()
        for camera, tracklets in cameras.items()
        for tracklet, paths in tracklets.items()
    }


def rows(written, name):
    return [tuple(line.split(" ")) for line in (written.root / f"{name}.txt").read_text().splitlines()]


def people(rows):
    return {row[0] for row in rows}


def test_every_tracklet_is_in_the_table_with_its_frames(written, table):
    data = written.root / "DATA"
    listed = []
    for (person, modality, camera, tracklet), paths in table.items():
        stem = f"{person}/{modality}/{camera}/{person}_{modality}_{camera}_{tracklet}_"
        numbers = [int(path.removeprefix(stem).removesuffix(".jpg")) for path in paths]
        assert [f"{stem}{number}.jpg" for number in numbers] == paths
        assert all(b - a == 1 for a, b in pairwise(numbers))
        listed += paths
    files = [path.relative_to(data).as_posix() for path in data.rglob("*.jpg")]
    assert sorted(listed) == sorted(files)
    assert (written.tracklets, written.frames) == (len(table), len(files))
    assert {camera for _, _, camera, _ in table} == CAMERAS
    assert {int(person) for person, *_ in table} == set(range(1, 13))


def test_pairs_have_the_same_frame_numbers(table):
    for (person, modality, camera, tracklet), paths in table.items():
        partner = table[person, "IR" if modality == "RGB" else "RGB", camera, tracklet]
        assert [p.rsplit("_", 1)[1] for p in paths] == [p.rsplit("_", 1)[1] for p in partner]


def test_people_of_the_lists(written, table):
    train, auxiliary = rows(written, "train"), rows(written, "train_auxiliary")
    query, gallery = rows(written, "query"), rows(written, "gallery")
    assert people(query) == people(gallery)
    parts = [people(train), people(auxiliary), people(query)]
    counts = written.train_identities, written.auxiliary_identities, written.test_identities
    assert tuple(map(len, parts)) == counts == (6, 2, 4)
    assert set.union(*parts) == {person for person, *_ in table}
    assert sum(map(len, parts)) == 12
    assert {row[1] for row in train + auxiliary} == {"RGB/IR"}
    for row in train + auxiliary:
        assert (row[0], "RGB", *row[2:]) in table
    assert all((row[0], row[1], *row[2:]) in table for row in query + gallery)


def test_training_people_are_seen_by_two_cameras_auxiliary_ones_by_one(written, table):
    for name, expected in (("train", {2, 3, 4, 5}), ("train_auxiliary", {1})):
        for person in people(rows(written, name)):
            cameras = {camera for other, _, camera, _ in table if other == person}
            assert len(cameras) in expected
        listed = {(row[0], *row[2:]) for row in rows(written, name)}
        all_pairs = {(p, c, t) for p, _, c, t in table if p in people(rows(written, name))}
        assert listed == all_pairs
    auxiliary = rows(written, "train_auxiliary")
    assert len(auxiliary) == len(people(auxiliary))


def test_one_query_a_person_and_a_gallery_without_its_camera(written, table):
    query, gallery = rows(written, "query"), rows(written, "gallery")
    assert set(Counter(row[0] for row in query).values()) == {1}
    assert {row[1] for row in query} == {"RGB", "IR"}
    camera_of = {row[0]: row[2] for row in query}
    others = {key for key in table if key[0] in camera_of and key[2] != camera_of[key[0]]}
    assert set(gallery) == others
    assert len(gallery) == len(others)
    assert people(gallery) == set(camera_of)
    unlisted = set(table) - set(query) - set(gallery) - {k for k in table if k[0] not in camera_of}
    assert len(unlisted) >= len(query)  # the partner of each query


def test_short_and_single_frame_tracklets(written, table):
    lengths = [len(paths) for paths in table.values()]
    assert {1, 5} <= set(lengths)
    train = [len(table[row[0], "RGB", *row[2:]]) for row in rows(written, "train")]
    assert {1, 5} <= set(train)
    assert sum(length >= 12 for length in train) >= 2 * 6
    assert all(len(table[row]) >= 12 for row in rows(written, "query"))


def test_infrared_frames_have_equal_channels(table, written):
    for modality in ("RGB", "IR"):
        paths = next(paths for key, paths in table.items() if key[1] == modality)
        with Image.open(written.root / "DATA" / paths[0]) as image:
            assert (image.size, image.mode) == ((16, 32), "RGB")
            pixels = np.asarray(image)
        assert bool((pixels == pixels[..., :1]).all()) == (modality == "IR")


def test_the_lmdb_packaging_holds_the_same_frames(tmp_path, table, written):
    root = tmp_path / "set"
    write_walkers(root, "bupt-campus", identities=12, seed=4, options=OPTIONS, workers=1, lmdb=True)
    assert (root / "lmdb/walkers.json").read_bytes() == (root / "walkers.json").read_bytes()
    query = [row for row in rows(written, "query") if row[1] == "IR"]
    with (
        lmdb.open(str(root / "lmdb/query_ir.lmdb"), readonly=True, lock=False) as database,
        database.begin() as t,
    ):
        values = [pickle.loads(t.get(key)) for key in pickle.loads(t.get(b"__keys__"))]
    frames = [[(root / "DATA" / path).read_bytes() for path in table[row]] for row in query]
    assert [(list(value[0]), value[1]) for value in values] == [
        (content, int(row[0])) for content, row in zip(frames, query, strict=True)
    ]


def test_lmdb_wants_its_package_before_anything_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="lmdb"):
        write_walkers(tmp_path / "set", "bupt-campus", identities=6, seed=0, lmdb=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"identities": 4}, "identities is 4; expected at least 5 for bupt-campus"),
        ({"identities": 9, "test_identities": 1}, "test_identities is 1; expected 2 to 6"),
        ({"identities": 9, "options": WalkerOptions(tracklets_per_modality=(1, 3))}, "expected at least 2"),
        ({"identities": 9, "options": WalkerOptions(images_per_camera=(1, 3))}, "images_per_camera"),
    ],
)
def test_refusals(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_walkers(tmp_path / "set", "bupt-campus", seed=0, **arguments)
    assert not list(tmp_path.iterdir())
