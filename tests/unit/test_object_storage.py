import os

import numpy as np
import pytest
from PIL import Image

from tapetum.data.frames import read_frame
from tapetum.object_storage import (
    RemoteAddress,
    copy_to,
    is_remote,
    look_at,
    read_bytes,
    remote_files,
    write_bytes,
)


@pytest.mark.parametrize("address", ["s3://", "s3:///key", "/crops/1.jpg", "https://host/bucket"])
def test_addresses_without_a_bucket_are_refused(address):
    with pytest.raises(ValueError, match="expected s3://BUCKET/KEY"):
        RemoteAddress.parse(address)


def test_an_address_with_a_key_is_refused_without_showing_it():
    with pytest.raises(ValueError, match="by the environment") as error:
        RemoteAddress.parse("s3://name:secret@bucket/key")
    assert "secret" not in str(error.value)


def test_options_stay_behind_what_lies_below():
    address = RemoteAddress.parse("s3://b/run?endpoint=http://h:9000&region=eu")
    assert (address.path, address.below("x")) == ("b/run", "s3://b/run/x?endpoint=http://h:9000&region=eu")
    assert RemoteAddress.parse("s3://b/what?.jpg").path == "b/what?.jpg"


def test_files_are_written_whole_read_listed_and_copied(storage, tmp_path):
    content = os.urandom(100_000)
    write_bytes("s3://shed/run/a.bin", content)
    write_bytes("s3://shed/run/deep/b.bin", b"")
    write_bytes("s3://shed/runner", b"1")
    assert storage.buckets["shed"]["run/a.bin"][0] == content
    assert read_bytes("s3://shed/run/a.bin") == content
    assert read_bytes("s3://shed/run/deep/b.bin") == b""
    assert [file.address for file in remote_files("s3://shed/run")] == [
        "s3://shed/run/a.bin",
        "s3://shed/run/deep/b.bin",
    ]
    found = look_at("s3://shed/run/a.bin")
    assert (found.size, look_at("s3://shed/run/c.bin"), look_at("s3://shed/run")) == (100_000, None, None)
    copy = copy_to("s3://shed/run/a.bin", tmp_path / "copy")
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == (content, found.changed_ns)


def test_the_endpoint_may_stand_in_the_address(storage, monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    address = f"s3://shed/there?endpoint={storage.endpoint}"
    write_bytes(address, b"here")
    assert read_bytes(address) == b"here"


def test_errors_name_the_address(storage, monkeypatch, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_bytes("s3://shed/nothing")
    assert error.value.filename == "s3://shed/nothing"
    with pytest.raises(FileNotFoundError):
        copy_to("s3://shed/nothing", tmp_path / "copy")
    storage.refused.add("PUT")
    storage.refused.add("POST")
    with pytest.raises(OSError, match="object storage") as error:
        write_bytes("s3://shed/full", b"1")
    assert (error.value.filename, "full" in storage.buckets["shed"]) == ("s3://shed/full", False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="object storage") as error:
        look_at("s3://shed/away")
    assert error.value.filename == "s3://shed/away"


def test_pictures_are_read_from_object_storage(storage, tmp_path):
    picture = Image.fromarray(np.arange(8 * 4 * 3, dtype=np.uint8).reshape(8, 4, 3))
    picture.save(tmp_path / "1.png")
    write_bytes("s3://shed/1.png", (tmp_path / "1.png").read_bytes())
    assert is_remote("s3://shed/1.png")
    np.testing.assert_array_equal(
        read_frame("s3://shed/1.png", 8, 4), read_frame(str(tmp_path / "1.png"), 8, 4)
    )
