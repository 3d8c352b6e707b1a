import logging
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapetum.data import read_dataset
from tapetum.data.datasets.llcm import _FILE_NAME, read
from tapetum.errors import DataError
from tapetum.types import Modality


def name(person, camera, code, number=0):
    return f"{person:04d}_c{camera:02d}_s{185734 + number:06d}_f{3195 + number}_{code}.jpg"


LABELS = {351: 0, 3: 1}
TRAINED = {
    "vis": [(351, 6, 1), (3, 1, 0), (351, 2, 0)],
    "nir": [(3, 4, 0), (351, 6, 0), (3, 1, 0)],
}
TESTED = {
    "vis": [(10, 1, 1), (10, 1, 0), (10, 3, 0), (4, 9, 0), (4, 2, 0)],
    "nir": [(10, 1, 0), (4, 9, 0), (4, 2, 0)],
}


def list_lines(code):
    return [f"{code}/{p:04d}/{name(p, c, code, n)} {LABELS[p]}" for p, c, n in TRAINED[code]]


def write_list(root, code, lines):
    (root / "idx" / f"train_{code}.txt").write_text("".join(f"{line}\n" for line in lines))


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "cam7" / "LLCM"  # the authors' reader would take 7 for the camera
    (root / "idx").mkdir(parents=True)
    (root / "idx" / "test_id.txt").write_text("10,4\n")
    (root / "test_nir" / "cam3").mkdir(parents=True)
    for code in ("vis", "nir"):
        write_list(root, code, list_lines(code))
        for person, camera, number in TRAINED[code]:
            touch(root / code / f"{person:04d}" / name(person, camera, code, number))
        for camera in set(range(1, 10)) - ({3} if code == "nir" else set()):
            (root / f"test_{code}" / f"cam{camera}").mkdir(parents=True)
        for person, camera, number in TESTED[code]:
            image = f"{person:04d}/{name(person, camera, code, number)}"
            touch(root / code / image)
            touch(root / f"test_{code}" / f"cam{camera}" / image)
    return root


def ids(tracklets):
    return [t.tracklet_id for t in tracklets]


def test_training_images_as_listed_with_the_camera_of_their_names(root):
    found = read(root)
    assert ids(found.train) == [line.rpartition(" ")[0] for line in list_lines("vis") + list_lines("nir")]
    assert [(t.person_id, t.camera_id) for t in found.train] == [
        (351, 6),
        (3, 1),
        (351, 2),
        (3, 4),
        (351, 6),
        (3, 1),
    ]
    assert [t.modality for t in found.train] == [Modality.VISIBLE] * 3 + [Modality.INFRARED] * 3
    assert found.label_ids == (351, 3)
    assert found.notes == ()


def test_test_images_by_person_camera_and_name(root):
    found = read(root)
    assert ids(found.query) == [
        f"test_nir/cam2/0004/{name(4, 2, 'nir')}",
        f"test_nir/cam9/0004/{name(4, 9, 'nir')}",
        f"test_nir/cam1/0010/{name(10, 1, 'nir')}",
    ]
    assert ids(found.gallery) == [
        f"test_vis/cam2/0004/{name(4, 2, 'vis')}",
        f"test_vis/cam9/0004/{name(4, 9, 'vis')}",
        f"test_vis/cam1/0010/{name(10, 1, 'vis', 0)}",
        f"test_vis/cam1/0010/{name(10, 1, 'vis', 1)}",
        f"test_vis/cam3/0010/{name(10, 3, 'vis')}",
    ]
    assert [t.camera_id for t in found.gallery] == [2, 9, 1, 1, 3]
    assert [t.person_id for t in found.gallery] == [4, 4, 10, 10, 10]
    assert {t.modality for t in found.query} == {Modality.INFRARED}
    assert {t.part for t in found.gallery} == {"gallery"}
    assert found.query[0].frames == (f"{root.as_posix()}/{found.query[0].tracklet_id}",)
    assert (found.title, found.test.name) == ("llcm", "llcm/test")


def test_infrared_images_of_camera_3_are_skipped_and_noted(root):
    touch(root / "test_nir/cam3/0004" / name(4, 3, "nir"))
    found = read(root)
    assert 3 not in {t.camera_id for t in found.query}
    assert found.notes == ("test_nir/cam3: 1 images; skipped, as by the authors' reader",)
    shutil.rmtree(root / "test_nir/cam3")
    assert read(root).notes == ()


def test_images_whose_name_disagrees_stay_with_their_folder(root):
    (root / "test_vis/cam3/0010" / name(10, 3, "vis")).rename(
        root / "test_vis/cam3/0010" / name(11, 4, "vis")
    )
    touch(root / "test_nir/cam1/0004/picture.jpg")
    found = read(root)
    assert (found.gallery[-1].person_id, found.gallery[-1].camera_id) == (10, 3)
    assert found.notes == (
        "2 images have names that disagree with their folders "
        f"(first: test_vis/cam3/0010/{name(11, 4, 'vis')}); kept",
    )
    with pytest.raises(DataError, match=r"test_vis/cam3/0010/0011_c04.*: the name disagrees with the folder"):
        read(root, strict=True)


@pytest.mark.parametrize("image", [name(4, 6, "vis"), name(351, 6, "nir")])
def test_a_training_image_of_another_person_or_modality_is_noted(root, image):
    (root / "vis/0351" / name(351, 6, "vis", 1)).rename(root / "vis/0351" / image)
    write_list(root, "vis", [f"vis/0351/{image} 0", *list_lines("vis")[1:]])
    found = read(root)
    assert (found.train[0].person_id, found.train[0].camera_id) == (351, 6)
    assert found.notes == (
        f"1 images have names that disagree with their folders (first: vis/0351/{image}); kept",
    )


@pytest.mark.parametrize(
    "image",
    ["0351_s200656_f4830_vis.jpg", name(351, 0, "vis"), name(351, 10, "vis"), "0351_cam6_s1_f1_vis.jpg"],
)
def test_a_training_image_without_a_camera_is_refused(root, image):
    write_list(root, "vis", [list_lines("vis")[0], f"vis/0351/{image} 0"])
    with pytest.raises(DataError, match=r"train_vis\.txt:2: .*; expected a name such as 0003_c01_s185734"):
        read(root)


def test_labels_must_mean_the_same_people_in_both_lists(root):
    write_list(root, "nir", [line[:-1] + str(1 - int(line[-1])) for line in list_lines("nir")])
    with pytest.raises(DataError, match=r"train_nir\.txt:1: label 0 for person 3, but for person 351 in"):
        read(root)


def test_somebody_who_trains_and_is_tested_is_refused(root):
    (root / "idx/test_id.txt").write_text("10,3")
    with pytest.raises(
        DataError, match=r"train_vis\.txt:2: person 3 is also in test_id\.txt; expected other"
    ):
        read(root)


def test_oddities_in_the_folders_are_noted(root):
    touch(root / "test_vis/cam1/0010/Thumbs.db")
    touch(root / "test_vis/cam1/0351" / name(351, 1, "vis"))
    touch(root / "vis/0351/extra.jpg")
    (root / "nir/0003" / name(3, 4, "nir")).unlink()
    (root / "idx/test_id.txt").write_text("10,4,77\n")
    shutil.rmtree(root / "test_vis/cam5")
    assert read(root).notes == (
        f"train: 1 listed images are not in their folders (first: nir/0003/{name(3, 4, 'nir')})",
        "train: 1 images beside listed ones are on no list (first: vis/0351/extra.jpg); skipped",
        "test: 1 listed people have no image (first: 77)",
        "no folder test_vis/cam5",
        "1 files or folders are no images of a person (first: test_vis/cam1/0010/Thumbs.db); skipped",
        "folders of 1 people that no list names (first: 351); skipped",
    )


@pytest.mark.parametrize("missing", ["idx/train_vis.txt", "idx/train_nir.txt", "idx/test_id.txt"])
def test_a_missing_list_is_named(root, missing):
    (root / missing).unlink()
    with pytest.raises(FileNotFoundError, match=f"{missing}: no such file"):
        read(root)


def test_missing_folders_are_named(root):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; expected the root of LLCM"):
        read_dataset(f"llcm:{root}/nowhere")
    shutil.rmtree(root / "test_nir")
    with pytest.raises(FileNotFoundError, match="test_nir: no folder cam1 to cam9"):
        read(root)


def test_counts_stand_beside_the_published_ones(root, caplog):
    with caplog.at_level(logging.WARNING):
        counts = {c.what: (c.expected, c.found) for c in read(root).counts}
    assert counts == {
        "training identities": (713, 2),
        "test identities": (351, 2),
        "training visible images": (16_946, 3),
        "training infrared images": (13_975, 3),
        "test visible images": (8_680, 5),
        "test infrared images": (7_166, 3),
        "infrared test images of camera 3": (0, 0),
    }
    (record,) = caplog.records
    assert "6 of 7 counts differ from the published LLCM" in record.getMessage()


def test_counts_can_be_insisted_on_but_not_of_a_synthetic_set(root, caplog):
    with pytest.raises(DataError, match="training identities 2, expected 713"):
        read(root, strict=True)
    (root / "walkers.json").write_text("{}")
    assert read(root, strict=True).counts == ()
    assert caplog.records == []


@given(st.integers(0, 9999), st.integers(1, 99), st.sampled_from(["vis", "nir"]), st.integers(0, 99_999))
def test_any_name_of_the_form_is_parsed(person, camera, code, number):
    match = _FILE_NAME.fullmatch(name(person, camera, code, number))
    assert match is not None
    assert (int(match[1]), int(match[2]), match[3]) == (person, camera, code)
