import errno
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from tapetum.data.synthetic import _writing
from tapetum.data.synthetic.hitsz_vcm import write_hitsz_vcm
from tapetum.data.synthetic.options import WalkerOptions

SMALL = WalkerOptions(frame_size=(32, 16), tracklet_length=(12, 14))
NAME = re.compile(r"(\d{4})M([12])D(\d+)T(\d+)F(\d+)\.jpg")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("walkers") / "set"
    return write_hitsz_vcm(root, identities=6, seed=2, options=SMALL, workers=1)


def rows(root, split):
    text = (root / "info" / f"track_{split}_info.txt").read_text()
    return [tuple(map(int, line.split())) for line in text.splitlines()]


def names(root, split):
    return [
        NAME.fullmatch(line).groups() for line in (root / f"info/{split}_name.txt").read_text().splitlines()
    ]


@pytest.mark.parametrize("split", ["train", "test"])
def test_rows_cover_the_name_file_and_agree_with_it(written, split):
    frames, end = names(written.root, split), 0
    for modality, first, last, person, camera in rows(written.root, split):
        assert first == end + 1
        end = last
        coded = frames[first - 1 : last]
        assert {tuple(map(int, name[:3])) for name in coded} == {(person, modality, camera)}
        assert len({name[3] for name in coded}) == 1
        assert all(int(b[4]) - int(a[4]) == 5 for a, b in pairwise(coded))
        assert int(coded[0][4]) % 5 == 1
        assert camera % 2 == (1 if modality == 2 else 0)
    assert end == len(frames)


@pytest.mark.parametrize(("split", "folder"), [("train", "Train"), ("test", "Test")])
def test_every_listed_frame_is_there_and_no_other(written, split, folder):
    listed = {
        f"{person}/{'ir' if modality == '1' else 'rgb'}/D{camera}/{frame}.jpg"
        for person, modality, camera, _, frame in names(written.root, split)
    }
    top = written.root / folder
    assert {path.relative_to(top).as_posix() for path in top.rglob("*.jpg")} == listed
    assert len(listed) == len(names(written.root, split))


@pytest.mark.parametrize("split", ["train", "test"])
def test_properties_that_readers_rely_on(written, split):
    table = rows(written.root, split)
    lengths = [last - first + 1 for _, first, last, _, _ in table]
    kept = {(row[3], row[0]) for row, length in zip(table, lengths, strict=True) if length >= 12}
    people = {row[3] for row in table}
    assert len(people) >= 2
    assert kept == {(person, modality) for person in people for modality in (1, 2)}
    assert any(length < 12 for length in lengths)
    assert any(length >= 12 and length % 6 and length % 8 and length % 10 for length in lengths)
    folders = [(person, modality, camera) for modality, _, _, person, camera in table]
    assert len(set(folders)) < len(folders)
    assert people != set(range(min(people), max(people) + 1))


def test_query_lists_the_infrared_test_rows_on_one_line(written):
    text = (written.root / "info/query_IDX.txt").read_text()
    assert text.count("\n") == 1
    expected = [number for number, row in enumerate(rows(written.root, "test"), start=1) if row[0] == 1]
    assert list(map(int, text.split())) == expected


def test_splits_share_no_one(written):
    train, test = ({row[3] for row in rows(written.root, split)} for split in ("train", "test"))
    assert max(train) + 1 < min(test)
    assert (len(train), len(test)) == (written.train_identities, written.test_identities)


def test_images_and_card(written):
    path = next((written.root / "Train").rglob("ir/*/*.jpg"))
    with Image.open(path) as image:
        assert (image.size, image.mode) == ((16, 32), "RGB")
    card = json.loads((written.root / "walkers.json").read_text())
    assert card["seed"] == 2
    assert card["options"]["frame_size"] == [32, 16]


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_workers_change_nothing(written, tmp_path, monkeypatch):
    monkeypatch.setattr(_writing, "_FRAMES_PER_WORKER", 1)
    calls = []
    write_hitsz_vcm(
        tmp_path / "other",
        identities=6,
        seed=2,
        options=SMALL,
        workers=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert contents(tmp_path / "other") == contents(written.root)
    assert calls == [(number, written.tracklets) for number in range(1, written.tracklets + 1)]


def test_an_existing_set_is_kept(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set/mine.txt").write_text("x")
    with pytest.raises(FileExistsError, match="set"):
        write_hitsz_vcm(tmp_path / "set", identities=4, seed=0, options=SMALL)
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_an_empty_folder_is_used(tmp_path):
    (tmp_path / "set").mkdir()
    assert write_hitsz_vcm(tmp_path / "set", identities=4, seed=0, options=SMALL, workers=1).frames > 0


def stop(done, total):
    raise KeyboardInterrupt


def test_nothing_is_left_of_a_stopped_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_hitsz_vcm(tmp_path / "set", identities=4, seed=0, options=SMALL, workers=1, progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    whole = Path.write_bytes

    def write_bytes(path, content):
        if path.suffix == ".jpg":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match=r"\.jpg") as caught:
        write_hitsz_vcm(tmp_path / "set", identities=4, seed=0, options=SMALL, workers=1)
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="identities is 3"):
        write_hitsz_vcm(tmp_path / "set", identities=3, seed=0)
    with pytest.raises(ValueError, match="workers is 0"):
        write_hitsz_vcm(tmp_path / "set", identities=4, seed=0, workers=0)
