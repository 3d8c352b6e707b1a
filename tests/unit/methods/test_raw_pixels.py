import numpy as np
import pytest
import torch

from tapetum.methods import create_method


def test_embeddings_are_correlated_like_the_small_pictures():
    method = create_method("raw-pixels", num_identities=1, num_cameras=1, rows=4, columns=2)
    clips = torch.randn(2, 3, 3, 16, 8)
    pictures = clips.mean(1).view(2, 3, 4, 4, 2, 4).mean((3, 5)).flatten(1).double().numpy()
    one, two = method.encode(clips).double()
    assert float(one @ two) == pytest.approx(np.corrcoef(pictures)[0, 1], abs=1e-5)


def test_nothing_is_learnt():
    method = create_method("raw-pixels", num_identities=1, num_cameras=1)
    assert method.stages() == []
    assert not list(method.parameters())
    assert method.embedding_dim == 3 * 24 * 12
