import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tapetum.data.datasets import read_dataset
from tapetum.data.manifests import build_manifest
from tapetum.errors import DataError
from tapetum.types import Modality

PATTERN = "{person_id}/{modality}/{camera_id}/{tracklet_id}/{frame}.png"


def picture(path: Path, modality: str = "visible") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = modality == "infrared"
    pixels = np.random.default_rng(len(str(path))).integers(0, 200, (32, 16, 1 if grey else 3))
    Image.fromarray(np.broadcast_to(pixels, (32, 16, 3)).astype(np.uint8)).save(path)


@pytest.fixture
def tree(tmp_path):
    """Four people, each with a visible and an infrared tracklet of two frames, all with the number 1."""
    root = tmp_path / "tree"
    for person in range(1, 5):
        for word, modality in (("rgb", "visible"), ("NIR", "infrared")):
            for frame in (9, 10):
                picture(root / f"{person:04d}" / word / f"D{person}" / "1" / f"f{frame}.png", modality)
    return root


def table(file):
    """Rows of a CSV file as dictionaries."""
    head, *rows = (line.split(",") for line in file.read_text().splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


def test_paths_become_a_manifest_that_reads(tree):
    built = build_manifest(tree, pattern=PATTERN)
    assert built.file == tree / "manifest.csv"
    assert (built.pictures, built.tracklets, built.people, built.cameras) == (16, 8, 4, 4)
    assert sum(built.tracklets_of.values()) == 8
    assert (built.unmatched, built.others, dict(built.guesses)) == ((), (), {})
    first = table(built.file)[0]
    assert {name: first[name] for name in first if name != "split"} == {
        "path": "0001/NIR/D1/1/f9.png",
        "person_id": "0001",
        "camera_id": "D1",
        "modality": "infrared",
        "tracklet_id": "0001/infrared/D1/1",
        "frame": "f9",
    }
    data = read_dataset(f"manifest:{tree}")
    assert (len(data.train), len(data.query), len(data.gallery)) == (4, 2, 2)
    assert {len(t.frames) for t in (*data.train, *data.test)} == {2}
    assert not data.notes
    assert data.train[0].frames[0].endswith("f9.png")
    assert all(os.path.exists(frame) for t in data.train for frame in t.frames)  # noqa: PTH110
    assert set(data.train.person_ids) | set(data.test.person_ids) == {1, 2, 3, 4}


@pytest.mark.parametrize(("share", "seed"), [(None, None), (0.25, 3), (1.0, 0)])
def test_the_split_is_the_one_the_reader_draws(tree, tmp_path, share, seed):
    built = build_manifest(tree, pattern=PATTERN, test_share=share, seed=seed)
    lines = [line.rpartition(",")[0] for line in built.file.read_text().splitlines()]
    assert table(built.file)[0]["split"] in ("train", "test")
    without = tree / "without.csv"
    without.write_text("\n".join(lines) + "\n")
    drawn = read_dataset(f"manifest:{without}", test_share=share, seed=seed)
    assert drawn.train.tracklets == read_dataset(f"manifest:{built.file}").train.tracklets


@pytest.mark.parametrize("name", ["list.csv", "list.parquet"])
def test_paths_are_relative_where_pictures_are_below_the_file(tree, tmp_path, name):
    built = build_manifest(tree, pattern=PATTERN, out=tmp_path / name)
    data = read_dataset(f"manifest:{built.file}")
    assert data.train[0].frames[0].startswith(f"{tmp_path}/tree/000")
    if name == "list.parquet":
        assert pq.read_table(built.file).column("path")[0].as_py().startswith("tree/0001")
    (tmp_path / "other").mkdir()
    away = build_manifest(tree, pattern=PATTERN, out=tmp_path / "other" / name)
    found = read_dataset(f"manifest:{away.file}")
    assert found.train[0].frames[0].startswith(f"{tmp_path}/tree/")
    assert any("lead out of the manifest's folder" in note for note in found.notes)


def test_what_does_not_match_is_counted_and_named(tree):
    picture(tree / "0001" / "stray.png")
    picture(tree / "0001" / "rgb" / "D1" / "1" / "._f1.png")
    (tree / "notes.txt").write_text("")
    built = build_manifest(tree, pattern=PATTERN)
    assert built.unmatched == ("0001/stray.png",)
    assert built.others == ("0001/rgb/D1/1/._f1.png", "notes.txt")
    again = build_manifest(tree, pattern=PATTERN, overwrite=True)
    assert again.others == built.others  # not the manifest itself


def test_modalities_are_decided_by_tracklet_where_paths_do_not_tell(tree):
    told = []
    pattern = "{person_id}/*/{camera_id}/{tracklet_id}/{frame}.png"
    with pytest.raises(DataError, match=r"is frame f9 of its tracklet, as is 0001/NIR"):
        build_manifest(tree, pattern=pattern)
    built = build_manifest(
        tree,
        pattern="{person_id}/*/{camera_id}/*/{frame}.png",
        folder_tracklets=True,
        progress=lambda *done: told.append(done),
    )
    assert told == [(n, 8) for n in range(1, 9)]
    assert set(built.guesses) == {f"000{p}/{w}/D{p}/1" for p in range(1, 5) for w in ("rgb", "NIR")}
    assert built.guesses["0002/NIR/D2/1"].modality is Modality.INFRARED
    assert {row["modality_certainty"] for row in table(built.file)} <= {"1.0000", "0.9999", "0.9998"}
    data = read_dataset(f"manifest:{built.file}")
    seen = {t.tracklet_id: t.modality for t in (*data.train, *data.test)}
    assert {m for name, m in seen.items() if "rgb" in name} == {Modality.VISIBLE}
    assert {m for name, m in seen.items() if "NIR" in name} == {Modality.INFRARED}


def test_without_tracklets_in_the_pattern_pictures_are_alone(tree):
    built = build_manifest(tree, pattern="{person_id}/{modality}/**/*.png")
    assert built.tracklets == 16
    assert "tracklet_id" not in table(built.file)[0]
    data = read_dataset(f"manifest:{built.file}")
    assert {len(t.frames) for t in data.train} == {1}


def test_words_times_and_splits_come_from_paths(tmp_path):
    for name in ("Train/7/night_20240531T180405.jpg", "Test/8/day_20240531T180406.jpg"):
        picture(tmp_path / name)
    pattern = "{split}/{person_id}/{modality}_{time}.jpg"
    built = build_manifest(
        tmp_path, pattern=pattern, visible_words=["Day"], infrared_words=["night"], out=tmp_path / "m.csv"
    )
    data = read_dataset(f"manifest:{built.file}")
    assert [(t.person_id, t.modality) for t in data.train] == [(7, Modality.INFRARED)]
    assert [(t.person_id, t.modality, t.time) for t in data.gallery] == [(8, Modality.VISIBLE, 1717178646.0)]
    with pytest.raises(DataError) as caught:
        build_manifest(tmp_path, pattern=pattern, visible_words=["day"], overwrite=True)
    assert "Train/7/night_20240531T180405.jpg: unknown modality 'night'; expected one of" in str(caught.value)


def test_one_modality_for_all_and_people_unknown(tree):
    built = build_manifest(tree, pattern="**/{frame}.png", modality="infrared")
    assert built.people == 0
    assert dict(built.tracklets_of) == {("", "infrared"): 16}
    data = read_dataset(f"manifest:{built.file}")
    assert (len(data.gallery), data.variant) == (16, "")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pattern": "{person}/*.png"}, ValueError, "unknown field 'person'"),
        (
            {"pattern": "{person_id}/*.png"},
            DataError,
            "none of 16 pictures .*it has 4 folders, the pattern 1",
        ),
        ({"out": "list.txt"}, ValueError, r"list\.txt: expected a file that ends in \.csv or \.parquet"),
        ({"out": "no/list.csv"}, FileNotFoundError, "its folder does not exist"),
        ({"modality": "visible"}, ValueError, r"the pattern has \{modality\}; choose one"),
        ({"modality": "uv"}, ValueError, "unknown modality 'uv'; expected one of auto, visible, infrared"),
        ({"folder_tracklets": True}, ValueError, r"the pattern has \{tracklet_id\}; choose one"),
        ({"test_share": 1.5}, ValueError, r"test_share is 1\.5"),
        ({"pattern": "**/{frame}.png", "seed": 1}, ValueError, "needs {person_id} and no {split}"),
        ({"pattern": "{split}/{modality}/*/*/*.png"}, DataError, "0001/.*: unknown split '0001'"),
        (
            {"pattern": "{person_id}/{modality}/{camera_id}/{tracklet_id}/{time}.png"},
            DataError,
            "time 'f9'; expected seconds",
        ),
        (
            {"pattern": "{person_id}/{modality}/{camera_id}/1/f{tracklet_id}.png", "visible_words": ()},
            None,
            "",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(tree, tmp_path, options, error, message):
    if error is None:
        assert build_manifest(tree, **options).tracklets == 16
        return
    given = {"pattern": PATTERN, **options}
    out = tmp_path / given.pop("out", "list.csv")
    with pytest.raises(error, match=message):
        build_manifest(tree, out=out, **given)
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tree"]


def test_a_file_that_is_there_is_replaced_only_on_request(tree):
    (tree / "manifest.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"manifest\.csv exists; pass overwrite=True"):
        build_manifest(tree, pattern=PATTERN)
    assert (tree / "manifest.csv").read_text() == "mine"
    build_manifest(tree, pattern=PATTERN, overwrite=True)
    assert len(table(tree / "manifest.csv")) == 16
    with pytest.raises(NotADirectoryError):
        build_manifest(tree / "none", pattern=PATTERN)


def test_broken_pictures_are_named_where_pixels_decide(tree):
    for person in (2, 3):
        for frame in (9, 10):
            (tree / f"000{person}" / "rgb" / f"D{person}" / "1" / f"f{frame}.png").write_bytes(b"")
    pattern = "{person_id}/*/{camera_id}/*/{frame}.png"
    with pytest.raises(DataError) as caught:
        build_manifest(tree, pattern=pattern, folder_tracklets=True)
    first, second = str(caught.value).splitlines()
    assert "0002/rgb/D2/1/f9.png: cannot read a picture" in first
    assert "0003/rgb/D3/1/f9.png: cannot read a picture" in second
    assert not (tree / "manifest.csv").exists()


def test_pictures_of_a_folder_must_agree(tmp_path):
    for name in ("7/rgb_1.png", "7/ir_2.png"):
        picture(tmp_path / name)
    with pytest.raises(DataError, match=r"7/rgb_1\.png: says other than 7/ir_2\.png"):
        build_manifest(tmp_path, pattern="{person_id}/{modality}_{frame}.png", folder_tracklets=True)
    assert build_manifest(tmp_path, pattern="{person_id}/{modality}_{frame}.png").tracklets == 2


def test_links_to_folders_are_followed_once(tree, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a").symlink_to(tree)
    (tree / "round").symlink_to(tmp_path / "linked")
    assert build_manifest(tmp_path / "linked", pattern="**/{frame}.png", modality="visible").pictures == 16


def test_names_that_are_no_text_are_named(tree):
    picture(tree / "0001" / "x.png")
    bad = os.fsencode(tree / "0001") + b"/\xff.png"
    os.rename(tree / "0001" / "x.png", bad)  # noqa: PTH104
    with pytest.raises(DataError, match="not a UTF-8 name"):
        build_manifest(tree, pattern=PATTERN)
