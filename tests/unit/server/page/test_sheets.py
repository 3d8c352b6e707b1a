import io

import numpy as np
import pytest
from PIL import Image

from tapetum.server.page.sheets import draw_sheet


def jpeg(width, height, level=200):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (level,) * 3).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def pixels(sheet):
    return np.asarray(Image.open(io.BytesIO(sheet)).convert("L")).astype(int)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_number_of_cells_is_told_by_the_size(count):
    height, width = pixels(draw_sheet([jpeg(48, 96)] * count, 4)).shape
    assert round(2 * width / height) == count
    assert height == 96


def test_cells_keep_their_order_and_every_picture_its_shape():
    sheet = pixels(draw_sheet([jpeg(64, 128, 100), jpeg(128, 64, 220), jpeg(20, 128, 160)], 4))
    height, width = sheet.shape
    cell = width // 3
    assert (height, cell) == (256, 128)
    assert sheet[128, 64] == pytest.approx(100, abs=4)
    wide = sheet[:, cell + 64]
    assert wide[128] == pytest.approx(220, abs=4)
    assert (wide > 120).sum() == pytest.approx(64, abs=3)
    narrow = sheet[128, 2 * cell :]
    assert (narrow > 100).sum() == pytest.approx(40, abs=3)


def test_large_pictures_are_made_smaller_and_small_ones_not_tiny():
    assert pixels(draw_sheet([jpeg(600, 1200)], 4)).shape == (256, 128)
    assert pixels(draw_sheet([jpeg(10, 20)], 4)).shape == (64, 32)


def test_of_many_pictures_some_are_taken():
    sheet = pixels(draw_sheet([jpeg(48, 96, 20 * n) for n in range(10)], 4))
    cells = sheet[48, 24::48]
    assert cells.tolist() == pytest.approx([0, 40, 100, 140], abs=5)


def test_what_cannot_be_read_is_passed_over():
    assert pixels(draw_sheet([b"nothing", jpeg(48, 96)], 4)).shape == (96, 48)
    assert draw_sheet([b"nothing"], 4) is None
    assert draw_sheet([], 4) is None
