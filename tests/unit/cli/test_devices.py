import pytest

from tapetum.cli._devices import usable


def test_a_device_that_is_there():
    assert usable("cpu") == "cpu"


@pytest.mark.parametrize("device", ["cpux", "cuda:99"])
def test_a_device_that_is_not(ask, device, tmp_path):
    with pytest.raises(ValueError, match=f"--device '{device}' cannot be used"):
        usable(device)
    refused = ask("evaluate", tmp_path, "--data", "hitsz-vcm:x", "--device", device)
    assert (refused.code, f"--device '{device}' cannot be used" in refused.err) == (1, True)
