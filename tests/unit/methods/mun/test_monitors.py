import pytest
import torch

CENTRES, PROTOTYPES = "centre distance", "prototype distance"
SCALES, DIFFERENCES = "layer scale norm", "auxiliary differs from"


def of_group(found, group):
    return {name.split("/")[1]: value.item() for name, value in found.items() if name.startswith(f"{group}/")}


def test_before_a_step_there_is_nothing_to_tell(make_method):
    assert make_method().stages()[0].monitors() == {}


def test_they_are_what_they_say(make_method, make_batch):
    method, batch = make_method(), make_batch()
    (stage,) = method.stages()
    stage.step(batch)
    found = stage.monitors()
    assert all(value.shape == () and not value.requires_grad for value in found.values())
    assert all(name.count("/") == 1 for name in found)
    v, r, a = method.prototypes.moments[0]
    expected = {"visible to infrared": v - r, "visible to auxiliary": v - a, "infrared to auxiliary": r - a}
    assert of_group(found, PROTOTYPES) == pytest.approx({k: x.norm().item() for k, x in expected.items()})
    scale = 0.1 * 8**0.5
    assert of_group(found, SCALES) == pytest.approx(dict.fromkeys(("visible", "infrared", "shared"), scale))
    visible, infrared, made = (x.detach() for x in stage._last.fused)
    gaps = {"visible": made - visible, "infrared": made - infrared}
    rms = {name: gap.square().mean().sqrt().item() for name, gap in gaps.items()}
    assert of_group(found, DIFFERENCES) == pytest.approx(rms)
    assert set(of_group(found, CENTRES)) == {"same identity", "nearest other identity"}


def test_a_generator_that_copies_one_modality_shows(make_method, make_batch):
    method, batch = make_method(), make_batch()
    method.generator = torch.nn.Module()
    method.generator.forward = lambda visible, infrared: visible
    (stage,) = method.stages()
    stage.step(batch)
    found = of_group(stage.monitors(), DIFFERENCES)
    assert found["visible"] == 0
    assert found["infrared"] > 1


def test_collapse_shows(make_method, make_batch):
    method, batch = make_method(), make_batch()
    (stage,) = method.stages()
    stage.step(batch)
    before = of_group(stage.monitors(), CENTRES)
    torch.nn.init.zeros_(method.network.body.layer4[-1].bn3.weight)
    torch.nn.init.ones_(method.network.body.layer4[-1].bn3.bias)
    torch.nn.init.zeros_(method.network.body.layer4[-1].downsample[1].weight)
    stage.step(batch)
    after = of_group(stage.monitors(), CENTRES)
    assert before["nearest other identity"] > 0.1
    assert after["nearest other identity"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "groups"),
    [
        ({}, {CENTRES, PROTOTYPES, SCALES, DIFFERENCES}),
        ({"auxiliary": "pixels"}, {CENTRES, PROTOTYPES, DIFFERENCES}),
        ({"auxiliary": "mmn", "loss.ma": 0}, {CENTRES, PROTOTYPES, DIFFERENCES}),
        ({"auxiliary_level": "feature"}, {CENTRES, PROTOTYPES, SCALES, DIFFERENCES}),
        ({"auxiliary": "none", "loss.ma": 0}, {CENTRES, PROTOTYPES}),
    ],
)
def test_there_are_those_of_what_is_there(make_method, run_steps, options, groups):
    stage, _ = run_steps(make_method(**options))
    found = stage.monitors()
    assert {name.split("/")[0] for name in found} == groups
    assert all(torch.isfinite(value) for value in found.values())
