"""CLIP4VI-ReID: every switch acts, contradictions are refused."""

import pytest
import torch
from pydantic import BaseModel

from tapetum.errors import ConfigError
from tapetum.methods._clip4vi_config import Clip4ViReidConfig


def observe(small, method):
    """What a configuration may change."""
    stages = method.stages()
    losses, settings, groups, moved = {}, {}, {}, {}
    for stage in stages:
        stage = small.begin(method, stage.name)
        batch = small.make_batch(views=False) if stage.batches.modality == "both" else None
        if stage.name == "hsa":
            batch = small.make_batch(seed=2)
        elif not stage.reads_frames:
            batch = small.seeds(5)
        found = stage.step(batch or small.one_modality(stage.batches.modality == "infrared"))
        weighted = {n: round(stage.loss_weights[n] * v.item(), 5) for n, v in found.items()}
        losses[stage.name] = weighted
        settings[stage.name] = (stage.batches, stage.augment, stage.schedule, stage.optim)
        groups[stage.name] = [
            (g.name, len(g.parameters), g.lr, g.weight_decay) for g in stage.parameter_groups()
        ]
        gradients = (
            torch.autograd.grad(
                stage.total(found),
                list(method.network.prompts.parameters()) or [stage.total(found)],
                allow_unused=True,
            )
            if stage.name == "hsa" and method.network.prompts
            else ()
        )
        moved[stage.name] = [g is not None and bool(g.any()) for g in gradients]
    context = small.make_context(record=lambda values: passes.append(len(values)))
    passes = []
    stages[-1].before_stage(context)
    method.eval()
    with torch.no_grad():
        clips = small.make_batch().clips
        embedding = method.encode(clips, modality="visible" if method.config.modality_stems else None)
    visual = method.network.images.visual
    return {
        "stages": [stage.name for stage in stages],
        "losses": losses,
        "settings": settings,
        "groups": groups,
        "moved": moved,
        "monitored": passes,
        "embedding": [round(x, 5) for x in embedding.flatten().tolist()],
        "pixels": method.preprocessing,
        "checkpointing": visual.gradient_checkpointing,
    }


def twins(small, base, flipped):
    """Two methods that differ in configuration alone: weights that both have are equal."""
    first, second = small.make_method(**base), small.make_method(seed=1, **{**base, **flipped})
    weights = first.state_dict()
    theirs = second.state_dict()
    shared = {n: weights[n] for n in theirs if n in weights and weights[n].shape == theirs[n].shape}
    stem = "network.images.visual.stem."
    for name in theirs:
        plain = name.replace(f"{stem}stems.visible.", stem).replace(f"{stem}stems.infrared.", stem)
        if plain in weights and plain != name:
            shared[name] = weights[plain]
    second.load_state_dict(shared, strict=False)
    for method in (first, second):
        norm = method.network.necks["g"].norm
        norm.running_mean.fill_(0.3)
    return first, second


SWITCHES = [
    ({}, {"pixel_norm": "imagenet"}, "pixels"),
    ({}, {"modality_stems": True}, "groups"),
    ({}, {"freeze_patch_embed": True}, "groups"),
    ({}, {"gradient_checkpointing": True}, "checkpointing"),
    ({}, {"neck_bias": True}, "groups"),
    ({}, {"prompt": "one {} two three"}, "losses"),
    ({}, {"prompt_tokens": 2}, "losses"),
    ({}, {"prompts": "sentence"}, "stages losses"),
    ({}, {"prompts": "none"}, "stages losses"),
    ({}, {"text_from": "infrared"}, "losses settings"),
    ({}, {"text_from": "both"}, "losses settings"),
    ({}, {"text_from": "bimodal"}, "stages losses groups"),
    ({"text_from": "bimodal"}, {"text_fusion": "mean"}, "stages"),
    ({"text_from": "bimodal"}, {"fusion.batch_size": 4}, "losses settings"),
    ({}, {"logit_scale": 0.5}, "losses"),
    ({}, {"use_tsg": False}, "stages"),
    ({}, {"use_ife": False}, "stages"),
    ({}, {"use_hsa": False}, "stages"),
    ({}, {"tune_prompts": False}, "groups moved"),
    ({}, {"wrt_on": ("g", "f")}, "losses"),
    ({}, {"label_smooth": 0.1}, "losses"),
    ({}, {"text_smooth": 0.1}, "losses"),
    ({}, {"test_feature": ("g",)}, "embedding"),
    ({}, {"test_feature": ("bn_g", "f")}, "embedding"),
    ({}, {"normalise_parts": True}, "embedding"),
    ({}, {"monitor_share": 0.0}, "monitored"),
    ({}, {"tsg.batch_size": 3}, "losses settings"),
    ({}, {"tsg.optim.lr": 1.0}, "groups"),
    ({}, {"tsg.schedule.epochs": 3}, "settings"),
    *[({}, {f"ife.loss.{name}": 0}, "losses") for name in ("i2t", "t2i")],
    ({}, {"ife.loss.replay": 1}, "losses settings"),
    ({}, {"ife.batches.identities": 2}, "settings"),
    ({}, {"ife.augment.flip": 0.1}, "settings"),
    ({}, {"ife.optim.lr": 1.0}, "groups"),
    ({}, {"ife.schedule.epochs": 3}, "settings"),
    *[({}, {f"loss.{name}": 0}, "losses") for name in ("id", "msel", "wrt", "i2t_visible", "i2t_infrared")],
    *[({}, {f"loss.contrast_{name}": 0}, "losses") for name in ("visible", "infrared")],
    ({}, {"optim.lr": 1.0}, "groups"),
    ({}, {"optim.weight_decay": 1.0}, "groups"),
    ({}, {"optim.prompt_factor": 2.0}, "groups"),
    ({}, {"optim.head_factor": 3.0}, "groups"),
    ({}, {"optim.bias_factor": 3.0}, "groups"),
    ({}, {"optim.decay_norms": False}, "groups"),
    ({}, {"optim.betas": (0.8, 0.9)}, "settings"),
    ({}, {"batches.identities": 2}, "settings"),
    ({}, {"augment.exchanged_view": False}, "settings"),
    ({}, {"schedule.epochs": 3}, "settings"),
]


@pytest.mark.parametrize(("base", "flipped", "expected"), SWITCHES, ids=lambda x: str(x) or "-")
def test_every_switch_acts(small, base, flipped, expected):
    first, second = twins(small, base, flipped)
    before, after = observe(small, first), observe(small, second)
    for what in expected.split():
        assert before[what] != after[what], what
    if expected in ("embedding", "pixels", "monitored", "checkpointing"):
        assert before["losses"] == after["losses"]


def test_the_table_of_switches_is_complete():
    elsewhere = {"height", "width", "frames", "test_sampling", "weights"}  # what reads and loads
    towers = {
        "backbone",
        "csdn_stem",
        "unknown_modality",
        "vision",
        "text",
        "template",
        "vocabulary",
    }  # their own tests
    flipped = {key.split(".")[0] for _, change, _ in SWITCHES for key in change}
    assert set(Clip4ViReidConfig.model_fields) - elsewhere - towers == flipped
    for path in (("loss",), ("ife", "loss"), ("tsg",), ("ife",)):
        nested: type[BaseModel] = Clip4ViReidConfig
        for part in path:
            nested = nested.model_fields[part].annotation
        prefix = ".".join(path) + "."
        named = {
            k.removeprefix(prefix).split(".")[0] for _, c, _ in SWITCHES for k in c if k.startswith(prefix)
        }
        assert set(nested.model_fields) == named


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"use_hsa": False, "prompts": "none"}, "there is no stage to train"),
        ({"use_hsa": False, "use_tsg": False, "use_ife": False}, "there is no stage to train"),
        ({"batches": {"tracklets": 1}}, r"loss\.msel needs batches\.tracklets"),
        ({"loss": {"contrast_visible": 0, "contrast_infrared": 0}}, "tune_prompts acts through"),
        ({"ife": {"loss": {"i2t": 0, "t2i": 0}}}, "stage 2 would learn nothing"),
        ({"ife": {"batches": {"modality": "both"}}}, r"ife\.batches\.modality follows from"),
        (
            {
                "prompts": "none",
                "loss": {
                    "id": 0,
                    "msel": 0,
                    "wrt": 0,
                    **dict.fromkeys(
                        ("i2t_visible", "i2t_infrared", "contrast_visible", "contrast_infrared"), 0
                    ),
                },
            },
            "stage 3 would learn nothing",
        ),
        ({"text_fusion": "mean"}, "text_fusion=mean is for the two texts"),
        ({"text_from": "bimodal", "use_tsg": False}, "text_fusion=csdn learns from finished prompts"),
        ({"csdn_stem": True}, "csdn_stem is a stem of RN50"),
        ({"test_feature": ()}, "test_feature"),
        ({"text_form": "both"}, "did you mean 'text_from'"),
    ],
)
def test_contradictions_are_refused(small, overrides, message):
    with pytest.raises(ConfigError, match=message):
        small.make_method(**overrides)


def test_the_ablations_of_the_page_are_what_they_say(small):
    """Losses that are left, by row of the table."""

    def losses(**overrides):
        method = small.make_method(**overrides)
        stages = [stage.name for stage in method.stages()]
        return stages, set(small.begin(method, "hsa").step(small.make_batch()))

    metric = {"id_g", "id_f", "msel_g", "msel_f", "wrt_g", "wrt_f", "wrt_last"}
    words = {"i2t_visible", "i2t_infrared", "contrast_visible", "contrast_infrared"}
    assert losses(prompts="none") == (["hsa"], metric)
    assert losses(use_ife=False, tune_prompts=False) == (["tsg", "hsa"], metric | words)
    assert losses(tune_prompts=False) == (["tsg", "ife", "hsa"], metric | words)
    assert losses() == (["tsg", "ife", "hsa"], metric | words)
    assert losses(prompts="sentence") == (["ife", "hsa"], metric | words)


def test_the_same_sentence_for_all_tells_nobody_apart(small):
    method = small.make_method(prompts="sentence")
    small.begin(method, "ife")
    bank = method.network.text_bank
    assert torch.equal(bank, bank[:1].expand_as(bank))
    template = method.config.template
    ids = torch.tensor([[*template.ids[: template.first], *template.ids[template.first + 4 :]]])
    torch.testing.assert_close(bank[:1], method.network.text(ids).detach())
