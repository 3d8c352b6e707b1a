import logging
import shutil

import pytest

from tapetum.data import read_dataset
from tapetum.data.datasets.regdb import read
from tapetum.errors import DataError
from tapetum.types import Modality

LINES = {
    "train_visible_2": [
        "Visible/31/male_back_v_00003_31.bmp 0",
        "Visible/4/female_back_v_00001_4.bmp 1",
        "Visible/31/male_back_v_00001_31.bmp 0",
    ],
    "train_thermal_2": ["Thermal/4/female_back_t_00001_4.bmp 1", "Thermal/31/male_back_t_00007_31.bmp 0"],
    "test_visible_2": [
        "Visible/205/male_front_v_00002_205.bmp 0",
        "Visible/8/male_front_v_00002_8.bmp 1",
        "Visible/205/male_front_v_00001_205.bmp 0",
    ],
    "test_thermal_2": ["Thermal/8/male_front_t_00005_8.bmp 1", "Thermal/205/male_front_t_00001_205.bmp 0"],
}


def write_list(root, name, lines):
    (root / "idx" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))


@pytest.fixture
def root(tmp_path):
    (tmp_path / "idx").mkdir()
    for name, lines in LINES.items():
        write_list(tmp_path, name, lines)
        for line in lines:
            path = tmp_path / line.rpartition(" ")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path


def places(name):
    return [line.rpartition(" ")[0] for line in LINES[name]]


def ids(tracklets):
    return [t.tracklet_id for t in tracklets]


def test_parts_keep_the_order_of_their_index_files(root):
    found = read(root, trial=2)
    assert ids(found.train) == places("train_visible_2") + places("train_thermal_2")
    assert ids(found.query) == places("test_visible_2")
    assert ids(found.gallery) == places("test_thermal_2")
    assert found.notes == ()


def test_a_person_is_the_folder_and_never_the_label(root):
    found = read(root, trial=2)
    assert [t.person_id for t in found.query] == [205, 8, 205]
    assert [t.person_id for t in found.gallery] == [8, 205]
    assert found.label_ids == (31, 4)


def test_one_camera_for_each_modality(root):
    found = read(root, trial=2)
    assert {(t.camera_id, t.modality, t.part) for t in (*found.train, *found.test)} == {
        (1, Modality.VISIBLE, "train"),
        (2, Modality.INFRARED, "train"),
        (1, Modality.VISIBLE, "query"),
        (2, Modality.INFRARED, "gallery"),
    }
    assert found.camera_ids == (1, 2)
    assert found.query[1].frames == (f"{root.as_posix()}/Visible/8/male_front_v_00002_8.bmp",)
    assert found.query[1].time is None


def test_the_trial_is_an_option_and_in_the_names(root):
    found = read_dataset(f"regdb:{root}?trial=2")
    assert (found.variant, found.title) == ("trial=2", "regdb?trial=2")
    assert (found.train.name, found.test.name) == ("regdb?trial=2/train", "regdb?trial=2/test")
    with pytest.raises(FileNotFoundError, match=r"train_visible_1\.txt: no such file"):
        read(root)


@pytest.mark.parametrize("trial", [0, 11, -1, "2", 2.0, True, None])
def test_other_trials_are_refused(root, trial):
    with pytest.raises(ValueError, match=rf"trial must be a whole number from 1 to 10, found {trial!r}"):
        read(root, trial=trial)


@pytest.mark.parametrize("name", LINES)
def test_a_missing_index_file_is_named(root, name):
    (root / "idx" / f"{name}.txt").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}\.txt: no such file"):
        read(root, trial=2)


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder; expected the root of RegDB"):
        read(tmp_path / "nowhere")


def test_an_image_of_the_other_modality_is_refused(root):
    write_list(root, "test_thermal_2", [LINES["test_thermal_2"][0], LINES["test_visible_2"][0]])
    with pytest.raises(
        DataError, match=r"test_thermal_2\.txt:2: 'Visible/205.*; expected .* Thermal/<person>"
    ):
        read(root, trial=2)


def test_labels_must_mean_the_same_people_in_both_modalities(root):
    swapped = [LINES["test_thermal_2"][0].replace(" 1", " 0"), LINES["test_thermal_2"][1].replace(" 0", " 1")]
    write_list(root, "test_thermal_2", swapped)
    with pytest.raises(
        DataError,
        match=r"test_thermal_2\.txt:1: label 0 for person 8, but for person 205 in test_visible_2\.txt:1",
    ):
        read(root, trial=2)


def test_the_same_label_means_other_people_in_training_and_testing(root):
    assert {image.rpartition(" ")[2] for image in LINES["train_visible_2"]} == {"0", "1"}
    found = read(root, trial=2)
    assert not set(found.train.person_ids) & set(found.test.person_ids)


def test_somebody_in_both_halves_is_named_with_both_lines(root):
    lines = [*LINES["test_visible_2"], "Visible/31/male_back_v_00009_31.bmp 2"]
    write_list(root, "test_visible_2", lines)
    write_list(root, "train_thermal_2", [*LINES["train_thermal_2"], "Thermal/31/male_back_t_00008_31.bmp 0"])
    with pytest.raises(
        DataError, match=r"test_visible_2\.txt:4: person 31 is also in train_thermal_2\.txt:2; expected other"
    ):
        read(root, trial=2)


def test_missing_people_and_images_are_noted(root):
    write_list(root, "train_thermal_2", LINES["train_thermal_2"][:1])
    shutil.rmtree(root / "Visible" / "8")
    assert read(root, trial=2).notes == (
        "train: 1 people are in only one of train_visible_2.txt and train_thermal_2.txt (first: 31)",
        "1 listed images are not in their folders (first: Visible/8/male_front_v_00002_8.bmp)",
    )


def test_counts_stand_beside_the_published_ones(root, caplog):
    (root / "Visible" / "500").mkdir()
    (root / "Visible" / "600").touch()
    with caplog.at_level(logging.WARNING):
        counts = {c.what: (c.expected, c.found) for c in read(root, trial=2).counts}
    assert counts == {
        "identities in Visible": (412, 5),
        "identities in Thermal": (412, 4),
        "images in train_visible_2.txt": (2_060, 3),
        "labels in train_visible_2.txt": (206, 2),
        "images in train_thermal_2.txt": (2_060, 2),
        "labels in train_thermal_2.txt": (206, 2),
        "images in test_visible_2.txt": (2_060, 3),
        "labels in test_visible_2.txt": (206, 2),
        "images in test_thermal_2.txt": (2_060, 2),
        "labels in test_thermal_2.txt": (206, 2),
    }
    (record,) = caplog.records
    assert "10 of 10 counts differ from the published RegDB" in record.getMessage()


def test_counts_can_be_insisted_on_but_not_of_a_synthetic_set(root, caplog):
    with pytest.raises(DataError, match="identities in Visible 4, expected 412"):
        read(root, trial=2, strict=True)
    (root / "walkers.json").write_text("{}")
    assert read(root, trial=2, strict=True).counts == ()
    assert caplog.records == []
