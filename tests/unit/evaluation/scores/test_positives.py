import numpy as np
import pytest
import torch

from tapetum.evaluation._identities import GalleryOrder, shared_codes
from tapetum.evaluation.distances.blocks import DistanceBlocks
from tapetum.evaluation.scores import positives


def blocks(levels, by_person):
    """Queries of known and unknown people, some pairs left out; two blocks of different widths."""
    rng = np.random.default_rng(levels)
    query, codes = shared_codes(rng.integers(0, 12, 70).tolist(), rng.integers(0, 10, 90).tolist())
    query[:40] = query[0]
    gallery = GalleryOrder.of(codes)
    matrix = torch.from_numpy(rng.integers(0, levels, (70, 90)).astype(np.float32))
    removed = torch.from_numpy(rng.random((70, 90)) < 0.2)
    parts = [(matrix[rows], removed[rows], query[rows]) for rows in (slice(0, 40), slice(40, 70))]
    return gallery, [b for part in parts for b in DistanceBlocks(*part, gallery, by_person=by_person)]


@pytest.mark.parametrize("levels", [4, 10_000])
@pytest.mark.parametrize("count_people", [True, False])
def test_an_accelerator_ranks_as_the_processor(levels, count_people):
    """The accelerator's way, run on the processor; its blocks are fetched together."""
    gallery, plain = blocks(levels, by_person=False)
    person = torch.from_numpy(gallery.codes) if count_people else None
    found = [positives._rank_on_device(block, person, gallery.people) for block in plain]
    _, grouped = blocks(levels, by_person=count_people)
    for one, two in zip(
        positives._fetched(found, count_people),
        (positives.rank_block(block, gallery, count_people) for block in grouped),
        strict=True,
    ):
        np.testing.assert_array_equal(one.matches, two.matches)
        valid = np.arange(two.positions.shape[1]) < two.matches[:, None]
        np.testing.assert_array_equal(one.positions[valid], two.positions[valid])
        if count_people:
            some = two.matches > 0
            np.testing.assert_array_equal(one.people_rank[some], two.people_rank[some])
        else:
            assert one.people_rank is None
            assert two.people_rank is None
