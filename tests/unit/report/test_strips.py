import base64
import io

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError
from tapetum.report.strips import data_uri, frame_strip, middle_frame, side_by_side, spread
from tapetum.types import Modality, Tracklet


@pytest.fixture
def tracklet(tmp_path):
    """Nine frames, frame i of the grey value 20 i."""
    paths = []
    for i in range(9):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (20, 50), (20 * i,) * 3).save(path)
        paths.append(str(path))
    return Tracklet("a", tuple(paths), Modality.VISIBLE, 1, 1)


def grey(picture, left):
    return int(np.asarray(picture)[5, left, 0])


def test_a_strip_shows_frames_spread_over_the_tracklet_in_order(tracklet):
    strip = frame_strip(tracklet, frames=3, height=40)
    assert strip.size == (3 * 20 + 2 * 3, 40)
    assert [grey(strip, left) for left in (2, 25, 48)] == [0, 60, 120]


def test_a_short_tracklet_gives_a_short_strip(tracklet):
    assert frame_strip(tracklet, frames=50, height=20).size == (9 * 10 + 8 * 3, 20)


def test_the_middle_frame(tracklet):
    assert grey(middle_frame(tracklet, height=30), 3) == 80


def test_a_picture_survives_its_address(tracklet):
    head, _, body = data_uri(middle_frame(tracklet, height=64)).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(body))) as picture:
        assert picture.size == (32, 64)


@pytest.mark.parametrize(
    ("count", "wanted", "expected"), [(10, 4, [0, 2, 5, 7]), (3, 4, [0, 1, 2]), (0, 2, [])]
)
def test_spread(count, wanted, expected):
    assert spread(count, wanted) == expected


def test_no_picture_and_no_file_are_errors(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        side_by_side([])
    with pytest.raises(DataError, match=r"gone\.jpg"):
        middle_frame(Tracklet("a", (str(tmp_path / "gone.jpg"),), Modality.VISIBLE), height=30)
