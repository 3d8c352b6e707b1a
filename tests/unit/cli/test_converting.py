import pytest

from tapetum.cli import main
from tapetum.errors import CheckpointError
from tapetum.methods import _x_reid_released
from tapetum.methods._x_reid_released import Conversion


@pytest.fixture
def calls(monkeypatch):
    """What the command asks of the importer, which itself is tested elsewhere."""
    made = []

    def convert_released(path, out, **options):
        made.append((path.name, out.name, options))
        if path.name == "bad.pth":
            raise CheckpointError(f"{path}: unexpected tensors: 'w'")
        return Conversion("f" * 8, 5, ("A", 7), ("bottleneck_local.bias",))

    monkeypatch.setattr(_x_reid_released, "convert_released", convert_released)
    return made


def test_convert_passes_on_what_it_is_told(calls, tmp_path, capsys):
    options = ["--height", "32", "--width", "16", "--frames", "4", "--cameras", "A, 7"]
    assert main(["convert", "x-reid-released", "x.pth", str(tmp_path / "m.safetensors"), *options]) == 0
    told = {"trained_on": None, "camera_ids": ["A", 7], "image_size": (32, 16), "frames": 4}
    assert calls == [("x.pth", "m.safetensors", told)]
    said = capsys.readouterr()
    assert "5 identities, cameras A, 7; model ffffffff" in said.out
    assert "bottleneck_local.bias" in said.err


def test_convert_has_the_published_sizes(calls, tmp_path):
    arguments = ["convert", "x-reid-released", "x.pth", str(tmp_path / "m"), "--trained-on", "hitsz-vcm"]
    assert main(arguments) == 0
    told = {"trained_on": "hitsz-vcm", "camera_ids": None, "image_size": (288, 144), "frames": 10}
    assert calls == [("x.pth", "m", told)]


def test_convert_refuses(calls, tmp_path, capsys):
    assert main(["convert", "another", "x.pth", str(tmp_path / "m")]) == 2
    assert main(["convert", "x-reid-released", "x.pth", str(tmp_path / "no" / "m")]) == 1
    assert calls == []
    assert main(["convert", "x-reid-released", "bad.pth", str(tmp_path / "m")]) == 1
    assert "unexpected tensors: 'w'" in capsys.readouterr().err
