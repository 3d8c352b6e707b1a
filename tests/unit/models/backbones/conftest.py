import pytest
import torch

from tapetum.errors import CheckpointError
from tapetum.models import load_clip


@pytest.fixture
def check_refusal(tmp_path):
    """(tensors, messages) -> nothing, where `load_clip` refuses their file with its name and all of these."""

    def check(state, *messages):
        path = tmp_path / "broken.pt"
        torch.save(state, path)
        with pytest.raises(CheckpointError) as caught:
            load_clip(path)
        for message in (*messages, str(path)):
            assert message in str(caught.value)

    return check
