import numpy as np
import pytest
import torch

from tapetum.methods import create_method
from tapetum.methods.colour_histogram import ColourHistogram


def make_method(**changes):
    return create_method("colour-histogram", num_identities=1, num_cameras=1, **changes)


def test_embeddings_are_roots_of_numpy_s_histograms():
    method = make_method(stripes=3, bins=8, height=16, width=8)
    frames = torch.randint(0, 256, (1, 2, 3, 16, 8), dtype=torch.uint8)
    found = method.encode(method.preprocessing.normalise(frames))[0].view(3, 3, 8)
    values = frames.numpy()[0] / 255
    edges = [[row for row in range(16) if row * 3 // 16 == stripe] for stripe in range(3)]
    for stripe, rows in enumerate(edges):
        for channel in range(3):
            counts = np.histogram(values[:, channel, rows], bins=8, range=(0, 1))[0]
            expected = np.sqrt(counts / counts.sum() / 9)
            assert found[stripe, channel].numpy() == pytest.approx(expected, abs=1e-3)


def test_values_outside_the_range_of_pixels_fall_into_the_outer_bins():
    method = make_method(stripes=1, bins=4)
    found = method.encode(torch.full((1, 1, 3, 8, 8), 100.0))
    assert found.view(3, 4)[:, 3].tolist() == pytest.approx([3**-0.5] * 3)


def test_frames_with_fewer_rows_than_stripes_are_refused():
    with pytest.raises(ValueError, match="4 rows cannot be cut into 6 stripes"):
        make_method().encode(torch.zeros(1, 1, 3, 4, 4))


def test_nothing_is_learnt():
    method = make_method()
    assert isinstance(method, ColourHistogram)
    assert method.stages() == []
    assert method.embedding_dim == 6 * 3 * 16
