import pytest
import torch

from tapetum.losses import (
    center_alignment,
    cross_modal_contrastive,
    discriminative_center,
    maximum_mean_discrepancy,
    modality_shared_enhancement,
    multi_modality_alignment,
)

LOSSES = {
    "msel": modality_shared_enhancement,
    "dcl": lambda f, y, r: discriminative_center(f, y),
    "nce": cross_modal_contrastive,
    "mma": multi_modality_alignment,
    "centres": center_alignment,
    "mmd": lambda f, y, r: maximum_mean_discrepancy(f, r),
}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    labels = torch.tensor([4, 4, 7, 7] * 2)
    return torch.randn(8, 6, generator=generator), labels, torch.arange(8) >= 4


@pytest.mark.parametrize("name", LOSSES)
def test_swapping_the_modalities_changes_nothing(name, batch):
    features, labels, infrared = batch
    swapped = LOSSES[name](features, labels, ~infrared)
    assert swapped.item() == pytest.approx(LOSSES[name](features, labels, infrared).item(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_where_rows_coincide(name, batch):
    _, labels, infrared = batch
    features = torch.ones(8, 6, requires_grad=True)
    LOSSES[name](features, labels, infrared).backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("name", ["msel", "centres", "mmd"])
def test_equal_modalities_leave_only_the_other_losses(name, batch):
    features, labels, infrared = batch
    shifted = torch.cat([features[:4], features[:4] + 3])
    same = torch.cat([features[:4], features[:4]])
    assert LOSSES[name](same, labels, infrared) < LOSSES[name](shifted, labels, infrared)


@pytest.mark.parametrize("name", ["nce", "mma"])
def test_matching_modalities_lower_the_retrieval_losses(name, batch):
    _, labels, infrared = batch
    matching = torch.eye(8)[labels]
    crossed = torch.cat([matching[:4], matching[4:].flip(0)])
    assert LOSSES[name](matching, labels, infrared) < LOSSES[name](crossed, labels, infrared)


def test_shared_enhancement_without_a_second_tracklet_is_zero():
    labels, infrared = torch.tensor([0, 1, 0, 1]), torch.tensor([False, False, True, True])
    assert modality_shared_enhancement(torch.randn(4, 3), labels, infrared).item() == 0


def test_centres_of_one_person_have_no_negatives():
    labels = torch.zeros(4, dtype=torch.long)
    features = torch.randn(4, 3, requires_grad=True)
    loss = discriminative_center(features, labels)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(features.grad).all()


def test_equally_far_negatives_all_count():
    points, labels = torch.tensor([[0.0], [2.0], [10.0], [10.0]]), torch.tensor([0, 0, 1, 1])
    # own: (1 + 0) / 2; negatives of centre 1 are 9 and 9, of centre 10 they are 10 and 8: 8 is the hard one
    assert discriminative_center(points, labels).item() == pytest.approx(0.5 / ((9 + 8) / 2))


def test_discriminative_centres_have_no_scale(batch):
    features, labels, _ = batch
    scaled = discriminative_center(features * 100, labels).item()
    assert scaled == pytest.approx(discriminative_center(features, labels).item(), rel=1e-5)


def test_discrepancy_is_zero_for_equal_sets_and_grows_with_the_gap(batch):
    features, _, infrared = batch
    same = torch.cat([features[:4], features[:4].flip(0)])
    assert maximum_mean_discrepancy(same, infrared).item() == pytest.approx(0, abs=1e-6)
