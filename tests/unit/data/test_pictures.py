import numpy as np
import pytest
from PIL import Image

from tapetum.data.pictures import guess_modality, tracklet_from_path
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
