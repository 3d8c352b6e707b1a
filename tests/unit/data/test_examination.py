import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tapetum.data import DataSet, Fault, Remark, Severity, examine
from tapetum.data.datasets import Count
from tapetum.types import Modality, Tracklet, TrackletSet

VISIBLE, INFRARED = Modality


class Maker:
    """Makes a data set of pictures, tracklet by tracklet."""

    def __init__(self, root):
        self.root = root
        self.tracklets = []
        self.random = np.random.default_rng(0)

    def add(self, name, person, modality, part, frames=3, camera=1):
        paths = []
        for i in range(frames):
            paths.append(str(self.root / f"{name}-{i}.png"))
            Image.fromarray(self.random.integers(0, 256, (8, 4, 3), dtype=np.uint8)).save(paths[-1])
        self.tracklets.append(Tracklet(name, tuple(paths), modality, person, camera, None, part))
        return paths

    def data(self, **options):
        parts = {p: tuple(t for t in self.tracklets if t.part == p) for p in ("train", "query", "gallery")}
        sets = {part: TrackletSet(f"made/{part}", found) for part, found in parts.items()}
        return DataSet("made", self.root, label_ids=(), **sets, **options)


@pytest.fixture
def maker(tmp_path):
    made = Maker(tmp_path)
    for person in (1, 2):
        made.add(f"v{person}", person, VISIBLE, "train")
        made.add(f"i{person}", person, INFRARED, "train", camera=2)
    made.add("q", 3, INFRARED, "query", camera=2)
    made.add("g", 3, VISIBLE, "gallery")
    return made


def found(data, **options):
    """Findings by kind, as (severity, text, items)."""
    listed = examine(data, **options).findings
    assert len({f.kind for f in listed if f.kind not in ("note", "count", "no-partner")}) == len(
        [f for f in listed if f.kind not in ("note", "count", "no-partner")]
    )
    return {f.kind: (f.severity, f.text, f.items) for f in listed}


@pytest.mark.parametrize("decode", [True, False])
def test_a_sound_set_has_no_findings(maker, decode):
    told = []
    seen = examine(maker.data(), decode=decode, progress=lambda *done: told.append(done))
    assert (seen.findings, seen.problems) == ((), ())
    assert seen.is_well(strict=True)
    assert told == [(n, 6) for n in range(1, 7)]


def test_missing_and_unreadable_frames_are_apart(maker, tmp_path):
    (tmp_path / "v1-0.png").unlink()
    (tmp_path / "q-2.png").write_bytes((tmp_path / "q-2.png").read_bytes()[:-30])
    (tmp_path / "g-1.png").write_bytes(b"")
    seen = found(maker.data())
    assert seen["missing"] == (Severity.ERROR, "1 frames are missing", (str(tmp_path / "v1-0.png"),))
    assert seen["unreadable"][2] == (str(tmp_path / "q-2.png"), str(tmp_path / "g-1.png"))
    quick = examine(maker.data(), decode=False)
    assert [(p.path.rpartition("/")[2], p.reason) for p in quick.problems] == [
        ("v1-0.png", "no such file"),
        ("g-1.png", "the file is empty"),
    ]
    assert not quick.is_well()


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize(
    ("source", "copy", "kind", "severity"),
    [
        ("v1-0", "g-0", "leak", Severity.WARNING),
        ("v1-0", "v2-1", "two-people", Severity.WARNING),
        ("v1-0", "i1-1", "duplicate", Severity.WARNING),
        ("v1-0", "v1-2", "duplicate-in-tracklet", Severity.REMARK),
        ("q-0", "g-0", "duplicate", Severity.WARNING),
    ],
)
def test_equal_pictures_are_sorted_by_the_harm_they_do(maker, tmp_path, source, copy, kind, severity, decode):
    shutil.copy(tmp_path / f"{source}.png", tmp_path / f"{copy}.png")
    seen = found(maker.data(), decode=decode)
    assert list(seen) == [kind]
    assert seen[kind][0] is severity
    (item,) = seen[kind][2]
    places = {name: f"{tmp_path / name}.png" for name in (source, copy)}
    assert all(place in item for place in places.values())
    side = {"g": "test", "q": "test"}
    owners = [name.partition("-")[0] for name in (source, copy)]
    texts = [
        f"{places[n]} ({side.get(o, 'train')}, {o})" for n, o in zip((source, copy), owners, strict=True)
    ]
    assert item in (" = ".join(texts), " = ".join(reversed(texts)))


def test_several_copies_are_one_group(maker, tmp_path):
    for name in ("v1-1", "v2-0", "g-2"):
        shutil.copy(tmp_path / "v1-0.png", tmp_path / f"{name}.png")
    seen = found(maker.data())
    assert list(seen) == ["leak"]
    assert seen["leak"][1] == "1 pictures are in both training and test"
    assert seen["leak"][2][0].count(" = ") == 3


def test_a_file_listed_again_is_found_though_it_is_missing(maker, tmp_path):
    frames = maker.tracklets[0].frames
    maker.tracklets.append(Tracklet("again", frames[:1], VISIBLE, 1, 1, None, "train"))
    seen = found(maker.data())
    assert seen["repeated-path"][2] == (f"{frames[0]} (train, v1) = {frames[0]} (train, again)",)
    maker.tracklets[-1] = Tracklet("again", frames[:1], VISIBLE, 3, 1, None, "gallery")
    assert set(found(maker.data())) == {"leak", "one-frame"}
    (tmp_path / "v1-0.png").unlink()
    assert set(found(maker.data())) == {"leak", "missing", "one-frame"}


def test_people_on_both_sides_and_without_a_partner(maker):
    maker.add("v9", 9, VISIBLE, "train")
    maker.add("i8", 8, INFRARED, "train")
    maker.add("g2", 2, VISIBLE, "gallery")
    maker.add("u", None, VISIBLE, "gallery")
    listed = [(f.kind, f.text, f.items) for f in examine(maker.data()).findings]
    assert listed == [
        ("person-in-both", "1 people are in both training and test", ("2",)),
        ("no-partner", "train: 1 people are seen in visible only", ("9",)),
        ("no-partner", "train: 1 people are seen in infrared only", ("8",)),
        ("no-partner", "test: 1 people are seen in visible only", ("2",)),
    ]


def test_empty_and_short_tracklets(maker):
    maker.add("none", 1, VISIBLE, "train", frames=0)
    maker.add("one", 1, VISIBLE, "train", frames=1)
    seen = found(maker.data())
    assert seen["empty-tracklet"] == (Severity.ERROR, "1 tracklets have no frame", ("none",))
    assert seen["one-frame"] == (Severity.REMARK, "1 of 8 tracklets have one frame", ("one",))
    nothing = Maker(maker.root).data()
    assert list(found(nothing)) == ["no-tracklets"]


def test_images_are_no_short_tracklets(tmp_path):
    made = Maker(tmp_path)
    for part, person in (("train", 1), ("query", 2)):
        made.add(f"a{person}", person, VISIBLE, part, frames=1)
        made.add(f"b{person}", person, INFRARED, part, frames=1)
    assert found(made.data()) == {}


def test_counts_and_notes_of_the_reader(maker):
    notes = ("odd", Remark("fine"), Fault("gone", ["a.jpg"]))
    counts = (Count("people", 3, 3), Count("frames", 19, 18))
    data = maker.data(notes=notes, counts=counts)
    seen = examine(data)
    assert [(f.severity.value, f.kind, f.text, f.items) for f in seen.findings] == [
        ("error", "missing", "gone", ("a.jpg",)),
        ("warning", "count", "frames: 18, expected 19", ()),
        ("warning", "note", "odd", ()),
        ("remark", "note", "fine", ()),
    ]
    assert not seen.is_well()
    mild = examine(maker.data(notes=notes[:2]))
    assert mild.is_well()
    assert not mild.is_well(strict=True)
    assert examine(maker.data(notes=notes[1:2])).is_well(strict=True)


def test_cameras_in_order_and_as_json(maker):
    maker.add("x", 3, VISIBLE, "gallery", camera="door", frames=2)
    maker.add("y", None, VISIBLE, "gallery", camera=None)
    maker.add("z", 3, INFRARED, "gallery", camera=10)
    seen = examine(maker.data())
    rows = [(r.camera, r.modality, r.people, r.train, r.query, r.gallery, r.frames) for r in seen.cameras]
    assert rows == [
        (1, "visible", 3, 2, 0, 1, 9),
        (2, "infrared", 3, 2, 1, 0, 9),
        (10, "infrared", 1, 0, 0, 1, 3),
        ("door", "visible", 1, 0, 0, 1, 2),
        (None, "visible", 0, 0, 0, 1, 3),
    ]
    told = json.loads(json.dumps(seen.to_json()))
    assert told["frames"] == {"train": 12, "query": 3, "gallery": 11}
    assert told["people"] == {"train": 2, "query": 1, "gallery": 1}
    assert told["cameras"][3]["camera"] == "door"
