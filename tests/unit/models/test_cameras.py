import pytest
import torch

from tapetum.models.cameras import CameraEmbedding


def test_rows_and_the_mean_for_unknown_cameras():
    embedding = CameraEmbedding(4, 6).double()
    found = embedding(torch.tensor([3, -1, 0]))
    torch.testing.assert_close(found[0], embedding.table[3])
    torch.testing.assert_close(found[1], sum(embedding.table) / 4)
    torch.testing.assert_close(found[2], embedding.table[0])
    found[0].sum().backward()
    assert embedding.table.grad[3].tolist() == [1.0] * 6
    assert not embedding.table.grad[:3].any()


def test_rows_start_small():
    torch.manual_seed(0)
    table = CameraEmbedding(50, 200).table
    assert 0.018 < table.std().item() < 0.022
    assert table.abs().max() < 2


def test_no_camera_is_refused():
    with pytest.raises(ValueError, match="0 cameras: expected at least 1"):
        CameraEmbedding(0, 4)
