import errno
import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest

from tapetum.data import FrameFiles, check_files, read_dataset
from tapetum.data.datasets import _bupt_campus_lmdb as packing
from tapetum.data.datasets._bupt_campus_lmdb import DATABASES, pack_dataset, write_lmdb
from tapetum.data.datasets.bupt_campus import read
from tapetum.errors import DataError
from tapetum.types import Modality, TrackletSet

VISIBLE, INFRARED = Modality
NAMES = ["gallery_ir", "gallery_rgb", "query_ir", "query_rgb", "train_ir", "train_rgb"]


@pytest.fixture
def folder(bupt_files):
    """The worked example, read from its folder, with pictures; identities 10 and 20 train."""
    tree = bupt_files.tree
    for former, person in (("1", 10), ("2", 20)):
        for modality, cameras in tree.pop(former).items():
            for camera in cameras:
                bupt_files.set_frames(person, modality, camera, range(person, person + 3))
    bupt_files.write(train=[line.replace(" RGB", "0 RGB", 1) for line in bupt_files.lists["train"]])
    bupt_files.draw()
    return read(bupt_files.root)


def seen(tracklet):
    return tracklet.person_id, tracklet.camera_id, tracklet.modality, tracklet.part, tracklet.time


def values(path):
    """All of a database, as Python unpickles it."""
    options = {"readonly": True, "lock": False, "subdir": path.is_dir()}
    with lmdb.open(str(path), **options) as database, database.begin() as transaction:
        return {key: pickle.loads(value) for key, value in transaction.cursor()}


@pytest.mark.parametrize("as_folders", [True, False])
def test_both_packagings_hold_the_same(folder, tmp_path, as_folders):
    root = pack_dataset(folder, tmp_path / "packed", as_folders=as_folders)
    assert sorted(path.name for path in root.iterdir()) == [f"{name}.lmdb" for name in NAMES]
    packed = read_dataset(f"bupt-campus:{root}?lmdb=true")
    assert (packed.title, packed.train.name) == ("bupt-campus", "bupt-campus/train")
    labelled = [replace(t, person_id=folder.label_ids.index(t.person_id)) for t in folder.train]
    assert [seen(t) for t in packed.train] == [seen(t) for t in labelled]
    assert packed.label_ids == (0, 1)
    for part in ("query", "gallery"):
        for modality in Modality:
            one, other = (data.split(part).of_modality(modality) for data in (folder, packed))
            assert [seen(t) for t in one] == [seen(t) for t in other]
            assert same_pictures(one, other)
    assert same_pictures(folder.train, packed.train)
    assert check_files(packed) == []
    assert packed.counts == folder.counts[1:]


def same_pictures(one, other):
    files, entries = FrameFiles(one, 16, 8), FrameFiles(other, 16, 8)
    positions = [np.arange(length) for length in files.lengths]
    assert files.lengths.tolist() == entries.lengths.tolist()
    return all(np.array_equal(files.clip(i, p), entries.clip(i, p)) for i, p in enumerate(positions))


def test_a_database_is_as_the_format_has_it(folder, tmp_path):
    root = pack_dataset(folder, tmp_path / "packed")
    (query,) = folder.query.of_modality(INFRARED)
    pictures = [Path(frame).read_bytes() for frame in query.frames]
    found = values(root / "query_ir.lmdb")
    assert found == {b"__len__": 1, b"__keys__": [b"0"], b"0": [pictures, 12, 3]}
    train = values(root / "train_rgb.lmdb")
    assert [train[key][1:] for key in train[b"__keys__"]] == [[0, 2], [0, 1], [1, 0], [1, 3]]
    assert [file.name for file in (root / "query_ir.lmdb").iterdir()] == ["data.mdb"]


def test_ids_are_the_keys_of_the_databases(folder, tmp_path):
    found = read(pack_dataset(folder, tmp_path / "packed"), lmdb=True)
    assert [t.tracklet_id for t in found.query] == ["query_rgb/0", "query_ir/0"]
    assert [t.tracklet_id for t in found.train[:3]] == ["train_rgb/0", "train_ir/0", "train_rgb/1"]
    assert found.query[0].frames[1] == f"{tmp_path}/packed/query_rgb.lmdb::0/1"
    assert found.notes[0].startswith("training identities are the labels that the databases hold")


def test_frames_are_not_held_in_memory(folder, tmp_path):
    large = folder.root / "large.jpg"
    large.write_bytes(b"x" * 200_000)
    many = replace(folder.query[1], frames=(str(large),) * 40)
    root = pack_dataset(replace(folder, query=TrackletSet("q", (folder.query[0], many))), tmp_path / "packed")
    read(root, lmdb=True)
    tracemalloc.start()
    try:
        found = read(root, lmdb=True)
        assert len(found.query[1].frames) == 40
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_single_frames_are_left_out_when_asked_for(folder, tmp_path):
    short = [replace(t, frames=t.frames[:1]) for t in folder.train[:2]]
    root = pack_dataset(
        replace(folder, train=TrackletSet("t", (*short, *folder.train[2:]))), tmp_path / "packed"
    )
    assert len(read(root, lmdb=True).train) == 8
    assert len(read(root, lmdb=True, skip_single_frames=True).train) == 6


def test_training_databases_that_are_no_pairs_are_noted(folder, tmp_path):
    root = pack_dataset(folder, tmp_path / "packed")
    (root / "walkers.json").write_text("{}")
    shorter = [replace(t, frames=t.frames[:1]) for t in folder.train.of_modality(INFRARED)]
    write_lmdb(root / "train_ir.lmdb", shorter, numbers={10: 0, 20: 1})
    assert (
        read(root, lmdb=True)
        .notes[0]
        .startswith("4 training pairs have visible and infrared frames of other")
    )
    write_lmdb(root / "train_ir.lmdb", shorter[::-1], numbers={10: 0, 20: 1})
    found = read(root, lmdb=True)
    assert [t.tracklet_id for t in found.train] == [f"train_{m}/{i}" for m in ("rgb", "ir") for i in range(4)]
    assert found.notes[0] == "the two training databases do not hold pairs, in one order"
    with pytest.raises(DataError, match="do not hold pairs, in one order"):
        read(root, lmdb=True, strict=True)
    write_lmdb(root / "query_ir.lmdb", [])
    assert any("1 gallery people have no query (first: 12)" in note for note in read(root, lmdb=True).notes)


def test_labels_with_gaps_are_noted(folder, tmp_path):
    root = pack_dataset(folder, tmp_path / "packed")
    for modality in Modality:
        place = root / DATABASES["train", modality]
        write_lmdb(place, folder.train.of_modality(modality), numbers={10: 0, 20: 2})
    found = read(root, lmdb=True)
    assert found.label_ids == (0, 2)
    assert found.notes[0] == "training identities are not the labels 0 to 1 without gaps"


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_or_damaged_database_is_named(folder, tmp_path, name):
    root = pack_dataset(folder, tmp_path / "packed", as_folders=False)
    path = root / f"{name}.lmdb"
    path.write_bytes(path.read_bytes()[:9_000])
    with pytest.raises(DataError, match=rf"{name}\.lmdb: .*cut short"):
        read(root, lmdb=True)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}\.lmdb: no such file"):
        read(root, lmdb=True)


def test_a_camera_beyond_the_six_is_named(folder, tmp_path):
    root = pack_dataset(folder, tmp_path / "packed")
    with lmdb.open(f"{root}/gallery_ir.lmdb", lock=False) as database, database.begin(write=True) as writing:
        writing.put(b"1", pickle.dumps([[b"x"], 12, 6]))
    with pytest.raises(DataError, match=r"gallery_ir\.lmdb: tracklet 1: unknown camera 6; expected 0 to 5"):
        read(root, lmdb=True)


def test_databases_are_read_on_request_only(folder, tmp_path):
    root = pack_dataset(folder, tmp_path / "packed")
    with pytest.raises(FileNotFoundError, match=r"\?lmdb=true"):
        read(root)


def test_a_database_grows_with_its_content(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_BATCH_BYTES", 20_000)
    large = folder.root / "large.jpg"
    large.write_bytes(bytes(range(256)) * 100)
    tracklets = [replace(folder.query[1], frames=(str(large),) * 3)] * 7
    path = write_lmdb(tmp_path / "a.lmdb", tracklets)
    found = values(path)
    assert found[b"__len__"] == 7
    assert all(found[b"%d" % i] == [[large.read_bytes()] * 3, 12, 3] for i in range(7))


@pytest.mark.parametrize("as_folder", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"person_id": None}, "12/IR/W4/1: identity None; expected a known number"),
        ({"person_id": "12"}, "identity '12'; expected a known number"),
        ({"camera_id": 3}, "camera 3; expected one of LS3, G25"),
        ({"frames": ("nothing.jpg",)}, "12/IR/W4/1: cannot read a frame: .*nothing.jpg"),
    ],
)
def test_nothing_is_written_of_what_cannot_be_packed(folder, tmp_path, change, message, as_folder):
    path = tmp_path / "out" / "a.lmdb"
    path.parent.mkdir()
    with pytest.raises(DataError, match=message):
        write_lmdb(path, [folder.query[1], replace(folder.query[1], **change)], as_folder=as_folder)
    assert list(path.parent.iterdir()) == []
    write_lmdb(path, [folder.query[1]], as_folder=as_folder)
    with pytest.raises(DataError, match=message):
        write_lmdb(path, [replace(folder.query[1], **change)], as_folder=as_folder)
    assert values(path)[b"__len__"] == 1, "what was there is as it was"


def test_a_training_identity_without_a_label_is_named(folder, tmp_path):
    with pytest.raises(DataError, match="10/RGB/CQ1/1: identity 10; expected a known number"):
        pack_dataset(replace(folder, label_ids=(20,)), tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_a_folder_with_something_in_it_is_not_replaced(folder):
    before = sorted(folder.root.rglob("*"))
    with pytest.raises(FileExistsError, match="exists and is not an empty folder"):
        pack_dataset(folder, folder.root)
    assert sorted(folder.root.rglob("*")) == before


def test_a_full_disk_is_told_as_such(folder, tmp_path, monkeypatch):
    def full(*_):
        raise lmdb.DiskError("mdb_txn_commit: No space left on device")

    monkeypatch.setattr(packing, "_commit", full)
    with pytest.raises(OSError, match=r"cannot write .*No space left") as caught:
        write_lmdb(tmp_path / "a.lmdb", [folder.query[1]])
    assert caught.value.errno == errno.ENOSPC
    assert not (tmp_path / "a.lmdb").exists()
