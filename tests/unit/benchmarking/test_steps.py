import pytest
import torch

from tapetum.benchmarking.steps import find_stage, largest, make_batches, stepper
from tapetum.methods import create_method

SMALL = {"batches.identities": 2, "batches.tracklets": 2}


def test_steps_train_the_method_and_phases_are_counted():
    with stepper("small-cnn", preset="tiny", overrides=SMALL) as made:
        before = [p.detach().clone() for p in made.method.parameters()]
        made.timer.read()
        made.step()
        seconds = made.timer.read()
        moved = [not torch.equal(a, b) for a, b in zip(before, made.method.parameters(), strict=True)]
    assert any(moved)
    assert all(seconds[phase] > 0 for phase in ("forward", "backward", "optimiser"))


def test_operations_of_a_step_count_its_gradients():
    with stepper("small-cnn", preset="tiny", overrides=SMALL) as made:
        step = made.flops()
        made.method.eval()
        from tapetum.comparison.costs import count_flops

        clips = made.method.preprocessing.normalise(made.batch.clips)
        forward = count_flops(lambda: made.method.encode(clips))
    assert 2.2 * forward < step < 3.5 * forward


@pytest.mark.parametrize("name", ["lsmrl", "clip4vi-reid"])
def test_batches_have_the_shape_of_the_stage(name):
    method = create_method(name, num_identities=9, num_cameras=2, preset="tiny", weights="none")
    stage = find_stage(method, "hsa" if name == "clip4vi-reid" else None)
    (batch,) = make_batches(stage, method, count=1, identities=3)
    wanted, size = stage.batches, method.preprocessing
    part = 3 * wanted.tracklets
    rows = batch.parts * part
    assert batch.clips.shape == (rows, size.frames, 3, size.height, size.width)
    assert (
        batch.labels.tolist() == [label for label in range(3) for _ in range(wanted.tracklets)] * batch.parts
    )
    assert batch.infrared.tolist()[: 2 * part] == [False] * part + [True] * part
    assert batch.views == (part if stage.augment.exchanged_view else 0)
    stage.check(batch)


def test_stages_that_read_no_frames_are_refused():
    method = create_method("clip4vi-reid", num_identities=9, num_cameras=2, preset="tiny", weights="none")
    with pytest.raises(ValueError, match="no stage 'tsg' that reads frames; known: "):
        find_stage(method, "tsg")


@pytest.mark.parametrize("limit", [0, 1, 5, 8, 100, 500, 9000])
def test_the_largest_that_fits_is_found_in_few_tries(limit):
    tried = []
    assert largest(lambda n: tried.append(n) or n <= limit, 500) == min(limit, 500)
    assert len(tried) == len(set(tried)) < 20
    assert all(1 <= n <= 500 for n in tried)
