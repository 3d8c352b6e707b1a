import io
import os
import pickle
import warnings
import zipfile

import pytest
import torch
from torch import nn

from tapetum.errors import CheckpointError
from tapetum.models.torchscript_archive import is_archive, read_archive
from tapetum.models.weight_files import read_weights


class Part(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2).half()
        self.register_buffer("count", torch.tensor(7))
        self.register_buffer("mask", torch.tensor([True, False]))

    def forward(self, x):
        return x


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList([Part(), Part()])
        self.scale = nn.Parameter(torch.tensor(2.5))
        self.register_buffer("view", torch.arange(12.0).reshape(3, 4).t()[1:])
        self.register_buffer("nothing", torch.empty(0))
        self.sizes = [1, 2]

    def forward(self, x):
        return x * self.scale + float(self.sizes[0])


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "whole.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Whole()), path)
    return path


def rewrite(source, target, changes):
    """A copy of a zip file with some records replaced, named by their last part."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            after.writestr(name, changes.get(name.split("/")[-1], before.read(name)))


def test_equals_what_torch_reads(archive):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(archive).state_dict()
    found = read_archive(archive)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)
    assert found["parts.1.linear.weight"].dtype is torch.float16


def test_tells_archives_from_state_dicts(archive, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pt")
    (tmp_path / "text.pt").write_text("no zip file")
    assert is_archive(archive)
    assert not is_archive(tmp_path / "state.pt")
    assert not is_archive(tmp_path / "text.pt")


def test_runs_no_code(archive, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    rewrite(archive, tmp_path / "attack.pt", {"data.pkl": pickle.dumps(Attack(), protocol=2)})
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        read_archive(tmp_path / "attack.pt")
    with pytest.raises(CheckpointError, match=r"attack\.pt.*mkdir"):
        read_weights(tmp_path / "attack.pt")
    assert not (tmp_path / "attacked").exists()


def test_big_endian_is_refused(archive, tmp_path):
    with zipfile.ZipFile(archive) as content:
        assert any(name.endswith("/byteorder") for name in content.namelist())
    rewrite(archive, tmp_path / "big.pt", {"byteorder": b"big"})
    with pytest.raises(pickle.UnpicklingError, match="big-endian"):
        read_archive(tmp_path / "big.pt")


def test_damaged_archive(archive, tmp_path):
    rewrite(archive, tmp_path / "cut.pt", {"data.pkl": io.BytesIO().getvalue()})
    with pytest.raises(CheckpointError, match=r"cut\.pt: cannot be read"):
        read_weights(tmp_path / "cut.pt")
