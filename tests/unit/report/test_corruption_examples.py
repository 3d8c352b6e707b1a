import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tapetum.data.corruptions import CORRUPTIONS, CorruptedFrames, find_corruption
from tapetum.data.frames import FrameFiles
from tapetum.report.corruption_examples import ExampleFrames, corruption_examples, draw_sheet
from tapetum.types import Modality, TrackletSet


def test_one_tracklet_of_each_modality_of_one_person(make_tracklets):
    tracklets = make_tracklets((4, 7))
    chosen = ExampleFrames(tracklets, 112, 56).tracklets
    assert [t.modality for t in chosen] == [Modality.VISIBLE, Modality.INFRARED]
    assert {t.person_id for t in chosen} == {4}
    lonely = replace(tracklets[0], person_id=1, tracklet_id="first")
    first = TrackletSet("toy", (lonely, *tracklets))
    assert {t.person_id for t in ExampleFrames(first, 112, 56).tracklets} == {4}  # 1 has no partner
    only = ExampleFrames(make_tracklets((1,)).of_modality(Modality.VISIBLE), 112, 56)
    assert [t.modality for t in only.tracklets] == [Modality.VISIBLE]


def test_pictures_are_the_pixels_that_are_scored(make_tracklets):
    frames = ExampleFrames(make_tracklets((4,), each=3), 112, 56, seed=5)
    fog = find_corruption("fog")
    shown = dict(frames.pictures(fog, (0, 4)))
    assert list(shown) == list(frames.tracklets)
    files = FrameFiles(frames.tracklets, 112, 56)
    scored = CorruptedFrames(files, frames.tracklets, fog, 4, seed=5)
    for row, tracklet in enumerate(frames.tracklets):
        clean, foggy = shown[tracklet]
        middle = np.array([len(tracklet.frames) // 2])
        np.testing.assert_array_equal(np.asarray(clean), files.clip(row, middle)[0].transpose(1, 2, 0))
        np.testing.assert_array_equal(np.asarray(foggy), scored.clip(row, middle)[0].transpose(1, 2, 0))


def test_examples_hold_a_strip_for_each_modality_that_is_changed(make_tracklets):
    frames = ExampleFrames(make_tracklets((4,)), 24, 12)
    chosen = [find_corruption(name) for name in ("jpeg", "saturation", "gain-noise")]
    jpeg, faded, gain = corruption_examples(frames, chosen, (1, 5))
    assert [s.modality for s in jpeg.strips] == ["visible", "infrared"]
    assert [s.modality for s in faded.strips] == ["visible"]
    assert [s.modality for s in gain.strips] == ["infrared"]
    assert (jpeg.name, jpeg.family) == ("jpeg", "compression")
    assert jpeg.strips[0].description == "jpeg on a frame of tracklet visible-4-0, visible"
    with Image.open(io.BytesIO(base64.b64decode(jpeg.strips[0].picture.partition(",")[2]))) as strip:
        assert strip.size == (3 * 56 + 2 * 3, 112)  # clean and two severities, a gap between


@pytest.mark.parametrize("width", [12, 24])
def test_a_sheet_shows_every_corruption(make_tracklets, width):
    frames = ExampleFrames(make_tracklets((4,)), 24, width)
    sheet = draw_sheet(frames, CORRUPTIONS, 3)
    tiles = 1 + len(CORRUPTIONS)
    rows = -(-tiles // 7)
    across = 2 * 112 * width // 24 + 3
    assert sheet.size == (12 + 7 * (across + 12), rows * (112 + 18 + 12))
    pixels = np.asarray(sheet).astype(int)
    blank = pixels[0, 0]
    for number in range(tiles):
        top, left = number // 7 * 142 + 18, 12 + number % 7 * (across + 12)
        assert np.abs(pixels[top : top + 112, left : left + 20] - blank).max() > 20
    harder = np.asarray(draw_sheet(frames, CORRUPTIONS, 5)).astype(int)
    assert (pixels[18:130, 12 : 12 + across] == harder[18:130, 12 : 12 + across]).all()  # the clean frames
    assert (pixels != harder).mean() > 0.2
