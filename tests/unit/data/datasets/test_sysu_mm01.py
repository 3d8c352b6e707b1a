import logging
import shutil

import numpy as np
import pytest
from scipy.io import savemat

from tapetum.data import dataset_names, read_dataset
from tapetum.data.datasets.sysu_mm01 import read
from tapetum.errors import DataError
from tapetum.types import Modality

LISTS = {"train": (12, 3), "val": (401,), "test": (30, 7)}
IMAGES = {
    # person: images in camera 1, 2, 3, 4, 5, 6
    3: (2, 0, 1, 0, 0, 0),
    12: (0, 0, 1, 1, 1, 0),
    401: (0, 0, 2, 1, 0, 0),
    7: (2, 1, 1, 1, 1, 2),
    30: (0, 0, 1, 0, 3, 1),
    99: (1, 1, 0, 0, 0, 0),
}


def write_ids(root, **lists):
    for part, ids in lists.items():
        (root / "exp" / f"{part}_id.txt").write_text(",".join(map(str, ids)) + "\n")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "exp").mkdir()
    write_ids(tmp_path, **LISTS)
    for camera in range(1, 7):
        for person, numbers in IMAGES.items():
            for number in range(1, numbers[camera - 1] + 1):
                path = tmp_path / f"cam{camera}" / f"{person:04d}" / f"{number:04d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
    return tmp_path


def ids(tracklets):
    return [t.tracklet_id for t in tracklets]


UNLISTED = "folders of 1 people that no list names (first: 99); skipped"


def test_training_images_of_both_lists_by_person_camera_and_name(root):
    found = read(root)
    assert ids(found.train) == [
        "cam1/0003/0001.jpg",
        "cam1/0003/0002.jpg",
        "cam3/0003/0001.jpg",
        "cam3/0012/0001.jpg",
        "cam4/0012/0001.jpg",
        "cam5/0012/0001.jpg",
        "cam3/0401/0001.jpg",
        "cam3/0401/0002.jpg",
        "cam4/0401/0001.jpg",
    ]
    assert found.label_ids == (3, 12, 401)
    assert found.validation_ids == (401,)
    assert (found.title, found.variant, found.train.name) == ("sysu-mm01", "", "sysu-mm01/train")
    assert {t.part for t in found.train} == {"train"}


def test_validation_people_can_be_kept_out_of_training(root):
    found = read_dataset(f"sysu-mm01:{root}?train=train")
    assert found.train.person_ids == [3, 12]
    assert found.label_ids == (3, 12)
    assert found.validation_ids == ()
    assert found.train.name == "sysu-mm01?train=train/train"
    assert ids(found.test) == ids(read(root).test)


def test_queries_are_infrared_and_the_gallery_part_is_visible_in_the_order_of_the_draw(root):
    found = read(root)
    assert ids(found.query) == [
        "cam3/0007/0001.jpg",
        "cam6/0007/0001.jpg",
        "cam6/0007/0002.jpg",
        "cam3/0030/0001.jpg",
        "cam6/0030/0001.jpg",
    ]
    assert ids(found.gallery) == [
        "cam1/0007/0001.jpg",
        "cam1/0007/0002.jpg",
        "cam2/0007/0001.jpg",
        "cam4/0007/0001.jpg",
        "cam5/0007/0001.jpg",
        "cam5/0030/0001.jpg",
        "cam5/0030/0002.jpg",
        "cam5/0030/0003.jpg",
    ]
    assert {(t.camera_id, t.modality) for t in found.query} == {
        (3, Modality.INFRARED),
        (6, Modality.INFRARED),
    }
    assert {t.modality for t in found.gallery} == {Modality.VISIBLE}
    assert {t.part for t in found.query} == {"query"}
    assert {t.part for t in found.gallery} == {"gallery"}


def test_an_image_is_a_tracklet_of_one_frame(root):
    tracklet = read(root).gallery[2]
    assert tracklet.frames == (f"{root.as_posix()}/cam2/0007/0001.jpg",)
    assert (tracklet.person_id, tracklet.camera_id, tracklet.time) == (7, 2, None)


def test_names_are_sorted_as_text_and_any_image_ending_counts(root):
    folder = root / "cam5" / "0030"
    for name in ("0010.jpg", "0009.PNG", "10.jpg", "9.bmp"):
        (folder / name).touch()
    found = [name.rpartition("/")[2] for name in ids(read(root).gallery) if "0030" in name]
    assert found == ["0001.jpg", "0002.jpg", "0003.jpg", "0009.PNG", "0010.jpg", "10.jpg", "9.bmp"]


def test_stray_things_are_skipped_and_noted(root):
    before = ids(read(root).gallery)
    assert read(root).notes == (UNLISTED,)
    for stray in ("cam1/0007/Thumbs.db", "cam1/0007/._0001.jpg", "cam1/readme.txt", "cam2/0030"):
        (root / stray).touch()
    (root / "cam2" / "0007" / "0002.jpg").mkdir()
    (root / "cam4" / "07").mkdir()
    found = read(root)
    assert ids(found.gallery) == before
    assert found.notes == (
        "6 files or folders are no images of a person (first: cam1/0007/._0001.jpg); skipped",
        UNLISTED,
    )


def test_the_order_of_the_directory_does_not_matter(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("copy")
    for path in sorted(root.rglob("*.*"), reverse=True):
        target = other / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    assert ids(read(other).test) == ids(read(root).test)


def test_empty_and_absent_person_folders_are_fine(root):
    (root / "cam4" / "0030").mkdir()
    shutil.rmtree(root / "cam5" / "0007")
    found = read(root)
    assert "cam5/0007/0001.jpg" not in ids(found.gallery)
    assert found.notes == (UNLISTED,)
    seen = {c.what: c.found for c in found.counts}
    assert [seen[f"test identities of camera {camera}"] for camera in (4, 5)] == [1, 1]


def test_people_without_any_image_keep_their_label_and_are_noted(root):
    write_ids(root, train=(12, 3, 5))
    found = read(root)
    assert found.label_ids == (3, 5, 12, 401)
    assert "train: 1 listed people have no image (first: 5)" in found.notes


def test_absent_cameras_are_noted(root):
    shutil.rmtree(root / "cam6")
    shutil.rmtree(root / "cam2")
    assert "no folder cam2, cam6" in read(root).notes


def test_numbers_that_permutations_cannot_name_are_noted(root):
    (root / "cam5" / "0030" / "0002.jpg").unlink()
    (root / "cam1" / "0007" / "x.jpg").touch()
    notes = read(root).notes
    assert "1 images have other names than four digits (first: cam1/0007/x.jpg); kept" in notes
    assert any("2 folders are not numbered" in n and "no cam1/0007/0003" in n for n in notes)


def test_a_root_or_person_like_path_above_does_not_matter(root, tmp_path_factory):
    deeper = tmp_path_factory.mktemp("x") / "cam3" / "0007" / "data"
    shutil.copytree(root, deeper)
    assert ids(read(deeper).test) == ids(read(root).test)


def write_matlab(root, part, values):
    savemat(root / "exp" / f"{part}_id.mat", {"id": values})


def test_lists_may_come_from_matlab_files_alone(root):
    before = read(root)
    for part, people in LISTS.items():
        (root / "exp" / f"{part}_id.txt").unlink()
        write_matlab(root, part, np.array([people], dtype=np.uint16))
    found = read(root)
    assert (ids(found.train), ids(found.test)) == (ids(before.train), ids(before.test))


def test_matlab_twins_must_name_the_same_people(root):
    write_matlab(root, "val", np.array([[401]], dtype=np.uint16))
    write_matlab(root, "test", np.array([[7, 30]], dtype=np.uint16))
    assert read(root).notes == (UNLISTED,)
    write_matlab(root, "test", np.array([[7, 31]], dtype=np.uint16))
    with pytest.raises(DataError, match=r"test_id\.txt: 2 people are in only one of .*first: 30; expected"):
        read(root)


def test_somebody_on_two_lists_is_refused(root):
    write_ids(root, test=(30, 401, 7))
    with pytest.raises(DataError, match=r"test_id\.txt: 1 people are also in val_id\.txt, first: 401"):
        read(root)


def test_missing_parts_are_named(root):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; expected the root of SYSU-MM01"):
        read(root / "nowhere")
    (root / "exp" / "val_id.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"val_id\.txt: no such file, nor val_id\.mat"):
        read(root)


def test_a_root_without_any_camera_is_refused(root):
    for camera in range(1, 7):
        shutil.rmtree(root / f"cam{camera}")
    with pytest.raises(FileNotFoundError, match="no folder cam1 to cam6"):
        read(root)


def test_an_unknown_option_is_refused(root):
    with pytest.raises(ValueError, match=r"train must be 'train\+val' or 'train', found 'val'"):
        read(root, train="val")
    assert "sysu-mm01" in dataset_names()


def test_counts_stand_beside_the_published_ones(root, caplog):
    with caplog.at_level(logging.WARNING):
        counts = {c.what: (c.expected, c.found) for c in read(root).counts}
    assert counts["train identities"] == (296, 2)
    assert counts["visible train+val images"] == (22_258, 5)
    assert counts["infrared train+val images"] == (11_909, 4)
    assert counts["query images"] == (3_803, 5)
    assert counts["visible test images"] == (6_775, 8)
    assert counts["val images of camera 3"] == (1_980, 2)
    assert counts["test identities of camera 5"] == (95, 2)
    assert counts["gallery images of a single-shot all-search"] == (301, 5)
    assert counts["gallery images of a single-shot indoor-search"] == (112, 2)
    assert counts["query images with a match in indoor-search"] == (2_208, 3)
    (record,) = caplog.records
    assert "counts differ from the published SYSU-MM01, first: train identities 2" in record.getMessage()


def test_a_query_of_camera_3_finds_nobody_of_camera_2(root):
    shutil.rmtree(root / "cam1" / "0007")
    counts = {c.what: c.found for c in read(root).counts}
    assert counts["query images with a match in indoor-search"] == 2


def test_published_counts_add_up(root):
    counts = {c.what: c.expected for c in read(root).counts}
    for part, visible, infrared in (("train", 20_284, 9_929), ("val", 1_974, 1_980), ("test", 6_775, 3_803)):
        assert sum(counts[f"{part} images of camera {c}"] for c in (1, 2, 4, 5)) == visible
        assert sum(counts[f"{part} images of camera {c}"] for c in (3, 6)) == infrared


def test_counts_can_be_insisted_on_but_not_of_a_synthetic_set(root, caplog):
    with pytest.raises(DataError, match="counts differ from the published SYSU-MM01"):
        read(root, strict=True)
    (root / "walkers.json").write_text("{}")
    assert read(root, strict=True).counts == ()
    assert caplog.records == []
