import pytest
import torch
import torch.nn.functional as F

from tapetum.models.pyramid import PairedPyramid, enlargement


@pytest.mark.parametrize(("size", "cells"), [(8, 4), (7, 3), (5, 1), (4, 6), (144, 4)])
def test_the_middle_tap_enlarges_bilinearly(size, cells):
    line = torch.randn(1, 1, cells, dtype=torch.double)
    table = enlargement(size, [cells], line)
    assert table.shape == (size, 3 * cells)
    before, at, behind = table.split(cells, dim=1)
    expected = F.interpolate(line, size=size, mode="linear", align_corners=False)
    torch.testing.assert_close(at @ line[0, 0], expected[0, 0])
    padded = F.pad(expected[0, 0], (1, 1))
    torch.testing.assert_close(before @ line[0, 0], padded[:-2])
    torch.testing.assert_close(behind @ line[0, 0], padded[2:])


def test_rows_of_cells_stand_side_by_side_and_tables_are_kept():
    like = torch.zeros(1, dtype=torch.float32)
    both = enlargement(6, [2, 3], like)
    assert torch.equal(both, torch.cat([enlargement(6, [2], like), enlargement(6, [3], like)], dim=1))
    assert enlargement(6, [2, 3], like) is both
    assert enlargement(6, [2, 3], like.double()).dtype is torch.double


def test_a_table_that_was_first_needed_in_inference_serves_training_too():
    pyramid = PairedPyramid(4, [(1, 1), (2, 1)])
    maps = torch.randn(2, 8, 22, 11)
    with torch.inference_mode():
        pyramid(maps)
    pyramid(maps).sum().backward()
    assert all(p.grad is not None for p in pyramid.parameters())


@pytest.mark.parametrize("nested", [True, False])
def test_cells_are_means_of_the_maps(nested):
    grids = [(1, 1), (2, 1), (4, 2)] if nested else [(1, 1), (2, 2), (3, 3)]
    pyramid = PairedPyramid(3, grids)
    maps = torch.randn(2, 6, 12, 8, dtype=torch.double)
    for cells, grid in zip(pyramid._pool(maps), grids, strict=True):
        torch.testing.assert_close(cells, F.adaptive_avg_pool2d(maps, grid))


def test_a_single_pair_has_statistics_in_training():
    assert torch.isfinite(PairedPyramid(4, [(1, 1)])(torch.randn(1, 8, 4, 2))).all()


@pytest.mark.parametrize("grids", [[], [(0, 1)], [(1, 1)] * 3])
def test_illegal_grids_are_refused(grids):
    with pytest.raises(ValueError, match="expected cells, and equal shares"):
        PairedPyramid(16, grids)
