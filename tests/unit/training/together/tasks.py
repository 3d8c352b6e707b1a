"""What forked processes do in tests (see forking.py), and what one process does to compare with."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from tapetum import processes
from tapetum.config import build_config
from tapetum.data import DataSet
from tapetum.embed import embed
from tapetum.errors import ConfigError
from tapetum.methods import create_method
from tapetum.methods._base import OptimConfig, ScheduleConfig, StageContext
from tapetum.methods._checkpoint import all_tensors, load_method
from tapetum.models.batch_statistics import MapNorm
from tapetum.training import company
from tapetum.training.config import TrainingConfig
from tapetum.training.devices import create_fabric
from tapetum.training.learner import Learner
from tapetum.training.loop import train_method
from tapetum.training.optim import MergedGroup, only_training
from tapetum.training.sharding import Shards
from tapetum.training.timing import StepTimer
from tapetum.training.training_set import TrainingSet, divide
from tapetum.types import Batch, Modality, Tracklet, TrackletSet

PEOPLE, STEPS = 7, 2
VISION = {
    "width": 32,
    "layers": 3,
    "heads": 2,
    "patch_size": 8,
    "image_size": (48, 24),
    "output_dim": 16,
}
TEXT = {"vocab_size": 20, "context_length": 12, "width": 16, "layers": 2, "heads": 2}
SMALL = {"weights": "none", "height": 48, "width": 24, "frames": 2}
WITH_TEXT = {"vision": VISION, "text": TEXT, "prompt": "a {} person"}
LSMRL = {**WITH_TEXT, "stfl_split": (1, 1, 1)}

CASES = {
    "agw": ("agw", {"augment": {"exchanged_view": True}, "frames": 1}),
    "clip-baseline": ("clip-baseline", {"vision": VISION, "stfl_split": (3, 0, 0)}),
    "clip4vi-reid": ("clip4vi-reid", WITH_TEXT),
    "clip4vi-reid, convolutional, two learners": (
        "clip4vi-reid",
        {
            "height": 96,
            "width": 48,
            "frames": 1,
            "backbone": "tiny-RN",
            "text_from": "bimodal",
            "use_ife": False,
        },
    ),
    "lsmrl": (
        "lsmrl",
        {**LSMRL, "cmi_shuffle": True, "cmi_self_prob": 0.3, "loss": {"cmcl": 0.5, "wrt": 0.1}},
    ),
    "lsmrl, prompts first": ("lsmrl", {**LSMRL, "prompt_stage": "two-stage"}),
    "mun": ("mun", {"frames": 1, "iml_kernels": (3,), "generator_width": 8}),
    "mun of single pictures": ("mun", {"frames": 1, "auxiliary": "mmn"}),
    "small-cnn": ("small-cnn", {}),
    "x-reid": ("x-reid", {"vision": VISION, "loss": {"triplet": 0.5}}),
    "x-reid, projected": (
        "x-reid",
        {"vision": VISION, "memory_feature": "projected", "collaboration": "own", "use_lii": False},
    ),
}
"""Method and changes to its small settings, by a name for the case."""

DOUBLE = {"agw", "mun", "mun of single pictures"}
"""In float64: norms of maps make rounding large, so that one process differs from itself with two threads."""

RATE = 5e-4


def config(**values):
    return build_config(TrainingConfig, {"device": "cpu", "tensorboard": False, "timeout_s": 45, **values})


# --- steps of a stage on batches that are made up


def make_method(case, **changes):
    name, own = CASES[case]
    torch.manual_seed(3)
    method = create_method(
        name, num_identities=PEOPLE, num_cameras=2, preset="tiny", **{**SMALL, **own, **changes}
    )
    for part in method.modules():  # first layers that start from zero would hide what follows them
        for name in ("scale", "weight"):
            value = getattr(part, name, None)
            if isinstance(value, nn.Parameter) and value.requires_grad and not value.abs().sum():
                nn.init.normal_(value, std=0.1)
    return method.double() if case in DOUBLE else method


def make_batch(method, stage, number):
    """The batch of all processes together: six people, two tracklets of each in each modality."""
    generator = torch.Generator().manual_seed(number)
    size, views = method.preprocessing, stage.augment.exchanged_view
    parts = {"both": 2 + views}.get(stage.batches.modality, 1)
    people = torch.randperm(PEOPLE, generator=generator)[:6].repeat_interleave(2)
    shape = (12 * parts, size.frames, 3, size.height, size.width)
    shades = 20 * people.repeat(parts)[:, None, None, None, None]
    clips = torch.randint(0, 100, shape, generator=generator) + shades
    infrared = (torch.arange(12 * parts) // 12) == 1
    if parts == 1:
        infrared = torch.full((12,), stage.batches.modality == "infrared")
    labels = people.repeat(parts)
    return Batch(
        clips.clamp(0, 255).to(torch.uint8), labels, infrared, infrared.long(), number, 12 * views, parts
    )


def share_of(batch):
    """This process's rows of the batch of all: whole people, of each part."""
    rows = torch.arange(len(batch.labels)).view(batch.parts, processes.count(), -1)[:, processes.rank()]
    rows = rows.flatten()
    cut = {name: getattr(batch, name)[rows] for name in ("clips", "labels", "infrared", "cameras")}
    return replace(batch, **cut, views=batch.views // processes.count())


def iterate(method, share=1.0, turn=(0, 1)):
    """A pass over five tracklets of each person and modality, in batches of which the last is smaller."""
    generator = torch.Generator().manual_seed(11)
    size, rows = method.preprocessing, 10 * PEOPLE
    shape = (rows, size.frames, 3, size.height, size.width)
    clips = torch.randn(shape, generator=generator)
    labels, infrared = torch.arange(rows) % PEOPLE, torch.arange(rows) % (2 * PEOPLE) >= PEOPLE
    kept = torch.arange(rows if share == 1 else 2 * PEOPLE)
    for number, some in enumerate(kept.split(16)):
        if number % turn[1] == turn[0]:
            yield Batch(clips[some], labels[some], infrared[some], infrared[some].long())


def train_stages(case, fabric, **changes):
    """A method after some steps of each of its stages: all tensors, by name, and a loss of each step."""
    method, losses = make_method(case, **changes), {}
    shards = (
        Shards(fabric, method) if fabric.world_size > 1 and "ModelParallel" in repr(fabric.strategy) else None
    )
    run = shards.run if shards is not None else lambda call: call()
    for index, stage in enumerate(method.stages()):
        context = StageContext(
            iterate_training_set=lambda **asked: iterate(method, **asked), record=lambda values: None
        )
        stage.optim = OptimConfig(algorithm="sgd", grad_clip=5)
        stage.schedule = ScheduleConfig(epochs=1, steps_per_epoch=STEPS, warmup_epochs=0)
        trained = tuple(p for group in stage.parameter_groups() for p in group.parameters)
        with only_training(method, trained):
            method.train()
            run(lambda: stage.before_stage(context))  # noqa: B023
            run(lambda: stage.before_epoch(0, context))  # noqa: B023
            method.train()
            groups = [MergedGroup("all", trained, RATE, 1e-4)]
            if case in DOUBLE:
                stage.step = in_float64(stage.step)
            learner = Learner(fabric, method, stage, groups, STEPS, ema=0.9, shards=shards)
            for number in range(STEPS):
                whole = (
                    make_batch(method, stage, 10 * index + number) if stage.reads_frames else seeds(number)
                )
                batch = share_of(whole) if stage.reads_frames else whole
                _, total = learner.step(batch, number, StepTimer(), with_norm=True)
                losses[f"{stage.name}/{number}"] = total.detach()
            losses[f"{stage.name}/norm"] = learner.gradient_norm.detach()
            averaged = {f"averaged/{name}": t for name, t in learner.averaged.items()}
            run(lambda: stage.after_stage(context))  # noqa: B023
    tensors = {**all_tensors(method), **averaged}
    return {name: processes.whole(t).detach().clone() for name, t in tensors.items()}, losses


def in_float64(step):
    return lambda batch: step(replace(batch, clips=batch.clips.double()))


def seeds(number):
    none = torch.empty(0, dtype=torch.long)
    return Batch(torch.empty(0, 1, 3, 1, 1, dtype=torch.uint8), none, none.bool(), none, number)


def steps(rank, scenario, folder):
    """Each process leaves the tensors of every case."""
    torch.set_num_threads(1)
    fabric = create_fabric(config(devices=scenario["processes"], strategy=scenario.get("strategy", "ddp")))
    for case in scenario["cases"]:
        tensors, losses = train_stages(case, fabric)
        found = tensors | {f"loss of {name}": value for name, value in losses.items()}
        save_file(found, folder / f"{scenario['name']}-{case}.{rank}.safetensors")


# --- the parts


def parts(rank, scenario, folder):
    """Gathering, norms and turns against what one process computes, in float64."""
    size = scenario["processes"]
    fabric = create_fabric(config(devices=size))
    check_gathering(rank, size)
    check_norms(rank, size)
    check_turns(rank, size)
    check_what_they_owe(rank, folder)
    fabric.barrier()


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def check_gathering(rank, size):
    """A loss of gathered rows behind a shared weight, and another weight behind the gathering."""
    rows, before, behind = drawn(2 * 3 * size, 4), drawn(4, 5, seed=1), drawn(5, seed=2)
    own = rows.view(2, size, 3, 4)[:, rank].reshape(6, 4)

    def loss(made, weight):
        return ((made @ weight).square() * torch.arange(len(made))).sum() + (made @ made.T).cos().sum()

    weights = [w.clone().requires_grad_() for w in (before, behind)]
    expected = torch.autograd.grad(loss(rows @ weights[0], weights[1]), weights)
    gathered, again = processes.gather(own @ weights[0], (own @ weights[0])[:, :1].exp(), parts=2)
    torch.testing.assert_close(gathered, rows @ before)
    torch.testing.assert_close(again, (rows @ before)[:, :1].exp())
    found = torch.autograd.grad(loss(gathered, weights[1]), weights)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(processes.summed(one) / size, other)
    labels = torch.arange(6 * size)
    share = replace(seeds(0), labels=labels.view(2, size, 3)[:, rank].reshape(6), parts=2)
    share = replace(share, infrared=share.labels >= 3 * size, cameras=share.labels + 1)
    whole = processes.gather_batch(share)
    assert torch.equal(whole.labels, labels)
    assert torch.equal(whole.infrared, labels >= 3 * size)
    assert torch.equal(whole.cameras, labels + 1)
    across = torch.cat([labels[3 * size :], labels[: 3 * size]])
    assert processes.own_rows(across, share).tolist() == [3, 4, 5, 0, 1, 2]


def check_norms(rank, size):
    """Two norms and a nonlinearity: outputs, gradients and running statistics are those of one process."""
    maps = drawn(4 * size, 3, 5, 2, seed=4) * 3 + 7
    one, shared = (nn.Sequential(nn.BatchNorm2d(3), nn.Softplus(), nn.BatchNorm2d(3)).double() for _ in "ab")
    shared[0], shared[2] = MapNorm(3).double(), MapNorm(3).double()
    for norms in (one, shared):
        for number, norm in enumerate((norms[0], norms[2])):
            norm.weight.data, norm.bias.data = drawn(3, seed=5 + number), drawn(3, seed=7 + number)
    whole = maps.clone().requires_grad_()
    slope, expected = drawn(*maps.shape, seed=9), one(whole)
    (expected * slope).sum().backward()
    mine = slice(4 * rank, 4 * rank + 4)
    own = maps[mine].clone().requires_grad_()
    made = shared(own)
    (made * slope[mine]).sum().backward()
    torch.testing.assert_close(made, expected[mine])
    torch.testing.assert_close(own.grad, whole.grad[mine])
    for found, other in zip(shared.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(processes.summed(found.grad), other.grad)
    for found, other in zip(shared.buffers(), one.buffers(), strict=True):
        torch.testing.assert_close(found, other)


def check_turns(rank, size):
    """Batches of any sizes, one process without any, come back in their order, type and shape."""
    whole = [
        (drawn(number % 3, 2, seed=number), torch.arange(number % 3) > 0, torch.tensor([number]))
        for number in range(2 * size - 1)
    ]
    for batches in (whole, whole[:1]):
        found = processes.join_turns(batches[rank::size])
        assert len(found) == len(batches)
        for some, other in zip(found, batches, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(some, other, strict=True))
            assert [a.dtype for a in some] == [b.dtype for b in other]
    assert processes.join_turns([]) == []
    rows = drawn(5, 2)
    share = processes.share_of(5, rows.device)
    torch.testing.assert_close(processes.join_shares(rows[share], 5), rows)


def check_what_they_owe(rank, folder):
    """What differs is named on all of them."""
    told = {"training": {"seed": 1, "workers": rank}, "data": f"x:{rank}"}
    company.check_agreement(told)
    with pytest.raises(
        ConfigError, match=r"process 0 and process 1 \(on .*\) were told otherwise: seed: 0 and 1"
    ):
        company.check_agreement({"seed": rank})
    here = folder / "scenarios.json"
    company.check_shared(here)
    with pytest.raises(FileNotFoundError, match=r"process 1 on .* does not see what process 0 wrote there"):
        company.check_shared(here if rank == 0 else folder / "elsewhere" / here.name)
    same = {"bank": torch.ones(3), "none": torch.zeros(0), "steps": torch.tensor(2)}
    company.check_in_step({**same, "rounded": torch.ones(4) * (1 + 1e-7 * rank)})
    with pytest.raises(RuntimeError, match=r"no longer hold the same numbers: counts, memory\.visible"):
        company.check_in_step(
            {**same, "memory.visible": torch.arange(3.0) * rank, "counts": torch.tensor(rank)}
        )


# --- whole runs on pictures


def make_dataset(folder):
    """Nine people with three tracklets in each modality, of different lengths; pictures on disk."""
    rng, tracklets = np.random.default_rng(0), []
    for person in range(9):
        for modality in Modality:
            for number in range(3):
                name = f"{person}-{modality.value}-{number}"
                frames = [str(folder / f"{name}-{i}.png") for i in range(1 + (person + number) % 3)]
                for frame in frames:
                    shade = 4 * person + rng.integers(0, 180, (32, 16, 3))
                    if not Path(frame).exists():
                        Image.fromarray(shade.astype(np.uint8)).save(frame)
                tracklets.append(Tracklet(name, tuple(frames), modality, person, number, part="train"))
    none = TrackletSet("x/none", ())
    return DataSet("x", folder, TrackletSet("x/train", tuple(tracklets)), none, none, tuple(range(9)))


def run_method(folder, out, fabric_config, resume=False, people=6):
    """Train a small network on the pictures in `folder`, as `tapetum train` does."""
    torch.set_num_threads(1)
    settings = {"height": 32, "width": 16, "frames": 2, "batches": {"identities": people, "tracklets": 2}}
    schedule = {"epochs": 2, "steps_per_epoch": 3, "warmup_epochs": 0}
    fabric = create_fabric(fabric_config)
    division = divide(make_dataset(folder), 2, 1)
    torch.manual_seed(1)
    method = create_method(
        "small-cnn", num_identities=7, num_cameras=3, preset="tiny", **settings, schedule=schedule
    )
    source = TrainingSet(
        division, fabric_config, method, rank=fabric.global_rank, world_size=fabric.world_size
    )
    result = train_method(method, source, fabric_config, out, resume=resume, fabric=fabric)
    return result, method, division


RUN = {
    "ema": 0.9,
    "validation_identities": 2,
    "validate_every": 1,
    "keep": "best",
    "log_every": 2,
    "checkpoint_every_steps": 2,
    "linears": "torch",
}


def whole_run(rank, scenario, folder):
    """A run from its start or its last checkpoint to its end, then embeddings that all processes share."""
    if "stop" in scenario:
        stop_in_step(rank, **scenario["stop"])
    settings = config(devices=scenario["processes"], **{**RUN, **scenario.get("training", {})})
    result, _, division = run_method(
        folder, folder / scenario["out"], settings, scenario.get("resume", False), scenario.get("people", 6)
    )
    assert result.steps == 6
    if scenario["name"] != "whole":
        return
    method = load_method(result.model).method
    found = embed(method, division.learnt.train, shared=True, batch_size=4)
    alone = embed(method, division.learnt.train, batch_size=4)
    assert np.array_equal(found.vectors, alone.vectors)


def stop_in_step(rank, process, step, signal_name):
    """Let one process end or fall silent in its `step`-th step, counted from 1."""
    if rank != process:
        return
    made, real = [], Learner.step

    def step_or_stop(self, *given, **named):
        made.append(1)
        if len(made) == step:
            if signal_name == "raise":
                raise OSError(5, "the camera caught fire", "frame.png")
            os.kill(os.getpid(), getattr(signal, signal_name))
        return real(self, *given, **named)

    Learner.step = step_or_stop
