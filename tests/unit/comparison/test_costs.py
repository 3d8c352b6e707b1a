import pytest
import torch
from torch import nn
from torch.nn import functional

from tapetum.comparison.costs import count_flops, count_trained, measure_costs, parameters_read
from tapetum.methods import create_method
from tapetum.types import Modality, Tracklet, TrackletSet


def test_flops_of_a_linear_layer_by_hand():
    layer = nn.Linear(5, 7)
    assert count_flops(lambda: layer(torch.zeros(3, 5))) == 2 * 3 * 5 * 7


def test_flops_of_a_convolution_by_hand():
    layer = nn.Conv2d(2, 4, 3)
    assert count_flops(lambda: layer(torch.zeros(1, 2, 6, 8))) == 2 * (4 * 6) * 4 * (2 * 9)


@pytest.mark.parametrize("mask", [None, torch.ones(6, 9, dtype=torch.bool)])
def test_flops_of_attention_by_hand(mask):
    query, other = torch.zeros(2, 3, 6, 4), torch.zeros(2, 3, 9, 4)

    def attend():
        return functional.scaled_dot_product_attention(query, other, other, attn_mask=mask)

    assert count_flops(attend) == 2 * (2 * (2 * 3 * 6 * 9 * 4))


def test_parameters_read_are_those_that_are_used():
    used, idle, table = nn.Linear(3, 2), nn.Linear(9, 9), nn.Parameter(torch.zeros(4, 3))
    read = parameters_read(lambda: used(table[1:2] + table[2:3]) * len(list(idle.parameters())))
    assert {id(p) for p in read} == {id(used.weight), id(used.bias), id(table)}


def tracklets(*lengths):
    rows = [
        Tracklet(str(i), tuple(f"{i}-{j}" for j in range(n)), Modality.VISIBLE) for i, n in enumerate(lengths)
    ]
    return TrackletSet("some", tuple(rows))


def test_costs_of_the_small_network():
    changes = {"height": 16, "width": 8, "frames": 2, "stripes": 1}
    method = create_method("small-cnn", num_identities=5, num_cameras=2, preset="tiny", **changes)
    costs = measure_costs(method, tracklets(2, 5), trained=count_trained(method))
    convolutions = sum(p.numel() for p in method.backbone.parameters())
    assert costs.embedding == 128
    assert costs.parameters == convolutions + 2 * 128  # behind the batch norm, without the classifier
    assert costs.trained == sum(p.numel() for p in method.parameters() if p.requires_grad)
    assert costs.clips_per_tracklet == (1 + 3) / 2
    sides = [(8 * 4, 3, 32), (8 * 4, 32, 32), (4 * 2, 32, 64), (4 * 2, 64, 64), (2 * 1, 64, 128)]
    sides.append((2 * 1, 128, 128))
    assert costs.flops_per_clip == 2 * sum(2 * pixels * 9 * old * new for pixels, old, new in sides)
    assert costs.to_json()["flops_per_tracklet"] == 2 * costs.flops_per_clip


def test_costs_of_what_is_not_trained():
    method = create_method("raw-pixels", num_identities=2, num_cameras=2, preset="tiny")
    costs = measure_costs(method, tracklets(3), trained=0)
    assert (costs.embedding, costs.parameters, costs.trained, costs.flops_per_clip) == (864, 0, 0, 0)
    assert count_trained(method) == 0


def test_the_text_tower_and_the_heads_do_not_count_for_encoding():
    method = create_method("lsmrl", num_identities=4, num_cameras=2, preset="tiny", weights="none")
    costs = measure_costs(method, tracklets(4), trained=count_trained(method))
    everything = sum(p.numel() for p in method.parameters())
    text = sum(p.numel() for name, p in method.named_parameters() if name.startswith("network.text."))
    assert text > 0
    assert costs.parameters <= everything - text
    assert costs.trained <= everything - text
    assert not method.training
