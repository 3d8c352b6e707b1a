import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tapetum.data.frames import read_frame
from tapetum.server.pictures import kind_of, read_picture
from tapetum.server.refusals import TooLarge, UnknownType, Unreadable

SIZE = (32, 16)


def read(content, most_pixels=10_000_000):
    return read_picture(content, *SIZE, most_pixels=most_pixels)


def noise_file(form, size=(20, 40), mode="RGB", **saving):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **saving)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP"])
def test_pictures_are_read_as_those_of_the_gallery_are(form, tmp_path):
    content = noise_file(form)
    (tmp_path / "one.jpg").write_bytes(content)
    found = read(content)
    np.testing.assert_array_equal(found.planes, read_frame(str(tmp_path / "one.jpg"), *SIZE))
    assert found.digest == hashlib.sha256(content).hexdigest()
    assert Image.open(io.BytesIO(found.preview)).format == "JPEG"


@pytest.mark.parametrize(
    ("mode", "form"), [("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("1", "BMP")]
)
def test_all_modes_of_eight_bits_become_rgb(mode, form):
    assert read(noise_file(form, mode=mode)).planes.shape == (3, *SIZE)


def test_grey_pictures_are_infrared_and_coloured_ones_visible():
    assert read(noise_file("PNG", mode="L")).visible < 0.5
    assert read(noise_file("PNG")).visible > 0.5


def test_pictures_are_turned_as_exif_says_and_the_rest_is_dropped():
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 255, 255), (0, 0, 20, 20))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise: left becomes top
    exif[0x010E] = "a secret place"
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif, quality=95)
    found = read(buffer.getvalue())
    assert found.planes[:, :14].min() > 200
    assert found.planes[:, 18:].max() < 60
    preview = Image.open(io.BytesIO(found.preview))
    assert preview.size == (20, 40)
    assert not dict(preview.getexif())
    assert b"secret" not in found.preview


def test_a_damaged_exif_is_passed_over():
    content = noise_file("JPEG")
    damaged = (
        content[:2] + b"\xff\xe1" + struct.pack(">H", 14) + b"Exif\x00\x00MM\x00\x2a\xff\xff" + content[2:]
    )
    assert read(damaged).planes.shape == (3, *SIZE)


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a" + bytes(50), b"%PDF-1.7", b"<svg/>", b"RIFF1234WAVE", bytes(99)]
)
def test_files_of_other_kinds_are_refused_by_their_content(content):
    assert kind_of(content) is None
    with pytest.raises(UnknownType, match="JPEG, PNG, BMP or WebP"):
        read(content)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("kept", [0.1, 0.5])
def test_files_that_are_cut_off_are_refused(form, kept):
    content = noise_file(form)
    with pytest.raises(Unreadable, match="damaged"):
        read(content[: max(16, int(len(content) * kept))])


def huge_png(width, height):
    """The header of a PNG file that says it is huge, and hardly anything behind it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(5000, 5001), (10_000, 9_500), (50_000, 50_000)])
def test_huge_pictures_are_refused_before_they_are_decoded(width, height):
    with pytest.raises(TooLarge, match="pixels"):
        read(huge_png(width, height), most_pixels=25_000_000)


def test_the_limit_of_pixels_itself_is_taken():
    content = noise_file("PNG", size=(20, 40))
    read(content, most_pixels=800)
    with pytest.raises(TooLarge, match="20 x 40 pixels; at most 799"):
        read(content, most_pixels=799)


def test_tiny_and_deep_pictures_are_refused():
    with pytest.raises(Unreadable, match="a side needs 8"):
        read(noise_file("PNG", size=(7, 40)))
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((40, 20), dtype=np.uint16)).save(buffer, "PNG")
    with pytest.raises(Unreadable, match="8 bits"):
        read(buffer.getvalue())
