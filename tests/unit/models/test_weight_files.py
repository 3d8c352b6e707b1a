import pytest
import torch
from safetensors.torch import save_file

from tapetum.errors import CheckpointError
from tapetum.models.weight_files import read_metadata, read_weights


def test_reads_safetensors_with_header(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.arange(3)}, path, metadata={"who": "me"})
    file = read_weights(path)
    assert file.kind == "safetensors"
    assert file.tensors["x"].tolist() == [0, 1, 2]
    assert file.metadata == read_metadata(path) == {"who": "me"}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [False, True])
def test_unwraps_state_dicts_and_keeps_their_order(tmp_path, prefix, wrapped):
    state = {f"{prefix}b": torch.ones(2), f"{prefix}a": torch.zeros(1)}
    torch.save({"state_dict": state, "epoch": 1} if wrapped else state, tmp_path / "a.pt")
    file = read_weights(tmp_path / "a.pt")
    assert file.kind == "pickle"
    assert list(file.tensors) == ["b", "a"]


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 3}, {1: torch.zeros(1)}, torch.zeros(2)])
def test_something_else_than_named_tensors(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: expected named tensors"):
        read_weights(tmp_path / "a.pt")


class Custom:
    pass


def test_objects_are_refused(tmp_path):
    torch.save({"a": Custom()}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: cannot be read"):
        read_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors", "a.bin"])
@pytest.mark.parametrize("content", [b"", b"hello, this is a text\n" * 20, b"PK\x03\x04 broken"])
def test_garbage(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{name}: cannot be read as a weight file"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("read", [read_weights, read_metadata])
def test_missing_file(tmp_path, read):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read(tmp_path / "nowhere.safetensors")


def test_metadata_of_something_else(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(CheckpointError, match=r"a\.txt: not a safetensors file"):
        read_metadata(tmp_path / "a.txt")
