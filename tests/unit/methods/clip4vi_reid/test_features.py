"""What is recorded of texts and images, worked by hand, and when."""

import pytest
import torch

from tapetum.methods._base import StageContext
from tapetum.methods._clip4vi_features import TrainingFeatures, encode_training_set, measure
from tapetum.types import Modality

TEXTS = torch.tensor([[1.0, 0], [0, 1], [-1, 0]])


def features(rows, labels, infrared):
    return TrainingFeatures(torch.tensor(rows), torch.tensor(labels), torch.tensor(infrared))


def test_top_1_counts_the_clips_whose_own_text_is_nearest_by_product():
    found = features(
        [[2.0, 1], [1, 3], [-5, 1], [0, 2], [3, 0]], [0, 1, 2, 0, 0], [False, False, True, True, True]
    )
    values = measure(found, TEXTS)
    assert values["text retrieval top-1/visible"] == 1
    assert values["text retrieval top-1/infrared"] == pytest.approx(2 / 3)
    assert not any("retrieval" in name for name in measure(found, None))


def test_gaps_are_between_centres_of_unit_features():
    """Person 0 is at (1, 0) and (0, 1); person 1 at (0, 1) in both; lengths do not count."""
    found = features(
        [[5.0, 0], [0, 2], [0, 0.5], [0, 9], [0, 1]], [0, 1, 0, 1, 1], [False, False, True, True, True]
    )
    values = measure(found, None)
    root = 2**0.5
    assert values == pytest.approx(
        {
            "modality gap/all": (0.5**2 + 0.5**2) ** 0.5,  # (1/2, 1/2) and (0, 1)
            "modality gap/same person": root / 2,  # root 2 and 0
            "modality gap/different people": root / 2,  # visible 0 to infrared 1, visible 1 to infrared 0
        }
    )


def test_figures_that_lack_a_modality_or_a_pair_are_left_out():
    one = features([[1.0, 0], [0, 1]], [0, 1], [True, True])
    assert set(measure(one, TEXTS)) == {"text retrieval top-1/infrared"}
    apart = features([[1.0, 0], [0, 1]], [0, 1], [True, False])
    assert set(measure(apart, None)) == {"modality gap/all"}
    alone = features([[1.0, 0], [0, 1]], [0, 0], [True, False])
    assert set(measure(alone, None)) == {"modality gap/all", "modality gap/same person"}


def test_encoding_the_training_set_changes_nothing_in_the_network(small):
    method = small.make_method()
    method.train()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    found = encode_training_set(method.network, small.training_set())
    assert all(torch.equal(before[name], value) for name, value in method.state_dict().items())
    assert all(module.training for module in method.modules())
    assert not found.features.requires_grad
    assert (found.features.shape, int(found.infrared.sum())) == ((36, 16), 18)
    visible = encode_training_set(method.network, small.training_set(), Modality.VISIBLE)
    torch.testing.assert_close(visible.features, found.of_modality(Modality.VISIBLE).features)
    nobody = encode_training_set(method.network, [small.one_modality()], Modality.VISIBLE)
    assert nobody.features.shape == (0, 16)


def test_rows_pass_the_stem_of_their_modality(small):
    method = small.make_method(modality_stems=True)
    stems = method.network.images.visual.stem.stems
    before = encode_training_set(method.network, small.training_set())
    with torch.no_grad():
        stems["infrared"].projection.weight.mul_(-1)
    after = encode_training_set(method.network, small.training_set())
    changed = (before.features - after.features).abs().amax(1) > 1e-4
    assert torch.equal(changed, after.infrared)


def listen(small, **changes):
    heard = []
    return small.make_context(record=heard.append, **changes), heard


NAMES = {
    *(f"text retrieval top-1/{m}" for m in ("visible", "infrared")),
    *(f"modality gap/{name}" for name in ("all", "same person", "different people")),
}


@pytest.mark.parametrize("name", ["tsg", "ife", "hsa"])
def test_figures_are_recorded_as_a_stage_begins_and_after_each_epoch(small, name):
    method = small.make_method()
    context, heard = listen(small)
    stage = small.begin(method, name, context)
    assert [set(values) for values in heard] == [NAMES]
    for _ in range(2):
        small.train_step(method, stage, lr=0.5)
    stage.after_epoch(0, context)
    assert [set(values) for values in heard] == [NAMES] * 2
    gaps = [values["modality gap/all"] for values in heard]
    assert (gaps[0] == gaps[1]) is (name == "tsg")
    if name != "tsg":
        found = encode_training_set(method.network, small.training_set(share=0.1))
        assert heard[1] == pytest.approx(measure(found, method.network.text_features().detach()))


def test_tsg_keeps_the_watched_features_and_follows_its_texts(small):
    method = small.make_method()
    context, heard = listen(small)
    stage = small.begin(method, "tsg", context)
    assert context.state["watched_labels"].numel() == 12
    context.iterate_training_set = None
    for _ in range(60):
        small.train_step(method, stage, small.seeds(_), lr=2.0)
    stage.after_epoch(0, context)
    top = "text retrieval top-1/visible"
    assert heard[1][top] > heard[0][top]
    assert heard[1]["modality gap/all"] == heard[0]["modality gap/all"]


@pytest.mark.parametrize("name", ["tsg", "ife", "hsa"])
def test_nothing_is_measured_where_nobody_listens_or_training_goes_on(small, name):
    passes = []

    def iterate(share=1.0):
        passes.append(share)
        return small.training_set(share)

    for context in (
        StageContext(iterate_training_set=iterate),
        StageContext(iterate_training_set=iterate, record=lambda values: None, resumed=True),
    ):
        small.begin(small.make_method(), name, context)
    muted = StageContext(iterate_training_set=iterate, record=lambda values: passes.append(values))
    small.begin(small.make_method(monitor_share=0), name, muted)
    assert passes == ([1.0] * 3 if name == "tsg" else [])


def test_without_text_only_the_gap_is_recorded(small):
    method = small.make_method(prompts="none")
    context, heard = listen(small)
    small.begin(method, "hsa", context)
    assert set(heard[0]) == {name for name in NAMES if name.startswith("modality gap")}
