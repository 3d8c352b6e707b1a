import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tapetum.data.pictures import files_below, guess_modality, images_in, natural_key, tracklet_from_path
from tapetum.errors import DataError
from tapetum.types import Modality


def write(path, colour):
    pixels = np.random.default_rng(0).integers(0, 200, (24, 12, 1), dtype=np.uint8)
    Image.fromarray(np.minimum(pixels + np.array(colour, dtype=np.uint8), 255).astype(np.uint8)).save(path)
    return str(path)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_colour_tells_the_modality(tmp_path, ending):
    assert guess_modality(write(tmp_path / f"day.{ending}", (40, 0, 10))) is Modality.VISIBLE
    assert guess_modality(write(tmp_path / f"night.{ending}", (5, 5, 5))) is Modality.INFRARED


def test_a_file_is_a_tracklet_of_one_frame(tmp_path):
    path = write(tmp_path / "a.png", (40, 0, 0))
    tracklet = tracklet_from_path(path)
    assert (tracklet.tracklet_id, tracklet.frames, tracklet.modality) == (path, (path,), Modality.VISIBLE)
    assert tracklet_from_path(path, Modality.INFRARED).modality is Modality.INFRARED


def test_a_folder_is_a_tracklet_in_the_order_of_its_numbers(tmp_path):
    for name in ("10.png", "2.png", "1.PNG", "9b.png"):
        write(tmp_path / name, (0, 0, 0))
    (tmp_path / "notes.txt").write_text("no frame")
    tracklet = tracklet_from_path(tmp_path)
    assert [frame.rpartition("/")[2] for frame in tracklet.frames] == ["1.PNG", "2.png", "9b.png", "10.png"]
    assert tracklet.modality is Modality.INFRARED


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        tracklet_from_path(tmp_path / "none")
    with pytest.raises(DataError, match="no image in this folder"):
        tracklet_from_path(tmp_path)
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=r"a\.png"):
        tracklet_from_path(tmp_path / "a.png")


@given(st.lists(st.text(st.sampled_from("a01²9.٣"), max_size=5)))
def test_names_have_one_order_whatever_they_are(names):
    ordered = sorted(names, key=natural_key)
    assert sorted([*names[1:], *names[:1]], key=natural_key) == ordered


def test_hidden_files_are_no_frames(tmp_path):
    write(tmp_path / "1.png", (0, 0, 0))
    write(tmp_path / "._1.png", (0, 0, 0))
    (tmp_path / "2.png").mkdir()
    assert images_in(tmp_path) == (str(tmp_path / "1.png"),)


def test_files_below_a_folder_come_in_natural_order(tmp_path):
    for name in ("b/10.png", "b/9.txt", "a.png", "10/x", "9/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_below(tmp_path) == ["9/x", "10/x", "a.png", "b/9.txt", "b/10.png"]
    with pytest.raises(FileNotFoundError):
        files_below(tmp_path / "none")


def test_the_modality_of_a_folder_is_that_of_most_frames(tmp_path):
    write(tmp_path / "1.png", (0, 0, 0))
    for number in (2, 3):
        write(tmp_path / f"{number}.png", (90, 0, 10))
    assert tracklet_from_path(tmp_path).modality is Modality.VISIBLE
