import pytest
import torch
from torch import nn

from tapetum.models.backbones.positions import check_resize_mode, resize_grid, resized_parameter


def test_bilinear_by_plain_loops():
    """Output centres of 3 to 2 rows and 2 to 4 columns, mixed from their neighbours by nearness."""
    torch.manual_seed(0)
    positions = torch.randn(1 + 3 * 2, 5, dtype=torch.double)
    found = resize_grid(positions, (3, 2), (2, 4), "bilinear")
    assert torch.equal(found[0], positions[0])
    grid = positions[1:].reshape(3, 2, 5)
    for row in range(2):
        for column in range(4):
            expected = torch.zeros(5, dtype=torch.double)
            y, x = (row + 0.5) * 3 / 2 - 0.5, (column + 0.5) * 2 / 4 - 0.5
            y, x = max(y, 0), max(x, 0)
            for i in range(3):
                for j in range(2):
                    down, across = min(y, 2), min(x, 1)
                    expected += max(0, 1 - abs(down - i)) * max(0, 1 - abs(across - j)) * grid[i, j]
            torch.testing.assert_close(found[1 + row * 4 + column], expected)


def test_parameters_keep_whether_they_train():
    positions = nn.Parameter(torch.randn(5, 3), requires_grad=False)
    assert resized_parameter(positions, (2, 2), (2, 2), "bilinear") is positions
    made = resized_parameter(positions, (2, 2), (4, 1), "bicubic")
    assert made.shape == (5, 3)
    assert not made.requires_grad
    trained = resized_parameter(nn.Parameter(torch.randn(5, 3)), (2, 2), (3, 3), "bilinear")
    assert trained.is_leaf
    assert trained.requires_grad


def test_unknown_modes_are_named():
    check_resize_mode("bicubic")
    with pytest.raises(ValueError, match="'area'; known: bilinear, bicubic"):
        check_resize_mode("area")
