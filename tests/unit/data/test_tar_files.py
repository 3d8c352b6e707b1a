import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from tapetum.data.containers import has_frame, open_container
from tapetum.data.frames import read_frame
from tapetum.data.tar_files import TarFile
from tapetum.errors import DataError


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 4, 3), number, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path):
    """Three pictures in an archive."""
    path = tmp_path / "shard-000.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(3):
            content = picture(number)
            member = tarfile.TarInfo(f"day/{number}.png")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        tar.addfile(tarfile.TarInfo("day/empty"), io.BytesIO())
    return path


def test_members_are_read_where_they_lie(archive):
    tar = TarFile(archive)
    assert list(tar.names()) == ["day/0.png", "day/1.png", "day/2.png", "day/empty"]
    assert (tar.damage, tar.read("day/1.png"), tar.read("day/empty")) == ("", picture(1), b"")
    assert ("day/2.png" in tar, "day/3.png" in tar) == (True, False)
    with pytest.raises(DataError, match="no such member"):
        tar.read("day/3.png")


def test_frames_inside_are_references(archive):
    frame = f"{archive}::day/2.png"
    assert has_frame(frame)
    assert not has_frame(f"{archive}::day/9.png")
    np.testing.assert_array_equal(read_frame(frame, 8, 4), np.full((3, 8, 4), 2))
    with pytest.raises(DataError, match=r"day/9\.png: no such member"):
        read_frame(f"{archive}::day/9.png", 8, 4)


def test_an_archive_that_is_cut_short_tells_and_gives_what_is_whole(archive):
    content = archive.read_bytes()
    archive.write_bytes(content[: 1024 + 512 + 40])  # inside the second picture
    tar = TarFile(archive)
    assert "cut short" in tar.damage
    assert tar.read("day/0.png") == picture(0)
    with pytest.raises(DataError, match="ends inside"):
        tar.read("day/1.png")
    archive.write_bytes(content[:1024])
    assert "no end mark after 1 files" in TarFile(archive).damage


def test_a_damaged_header_in_the_middle_is_no_end(archive):
    content = bytearray(archive.read_bytes())
    content[1024 : 1024 + 200] = b"\xff" * 200
    archive.write_bytes(content)
    tar = TarFile(archive)
    assert (list(tar.names()), tar.damage) == (["day/0.png"], "damaged at byte 1024, after 1 files")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.tar"):
        TarFile(tmp_path / "none.tar")
    (tmp_path / "bad.tar").write_bytes(b"no archive at all" * 100)
    with pytest.raises(DataError, match=r"bad\.tar: no tar archive"):
        TarFile(tmp_path / "bad.tar")
    with pytest.raises(DataError, match="object storage"):
        open_container("s3://bucket/shard.tar")
