"""CLIP4VI-ReID's stages: which losses of which rows, what moves, what is cached."""

import pytest
import torch

from tapetum.errors import DataError
from tapetum.methods._base import StageContext

# --- stage 1


def test_tsg_contrasts_cached_visible_features_with_the_texts_of_their_people(small):
    method, context = small.make_method(), small.make_context()
    stage = small.begin(method, "tsg", context)
    found = stage.step(small.seeds(3))
    method.eval()
    visible = [(b.clips[~b.infrared], b.labels[~b.infrared]) for b in small.training_set()]
    visible = [(clips, labels) for clips, labels in visible if len(labels)]
    with torch.no_grad():
        features = torch.cat([method.network.encode_clips(clips).f for clips, _ in visible])
    labels = torch.cat([y for _, y in visible])
    assert torch.equal(context.state["learnt_features"], features)
    assert torch.equal(context.state["learnt_labels"], labels)
    rows = torch.randperm(18, generator=torch.Generator().manual_seed(3))[:6]
    texts = method.network.text_features(labels[rows]).detach().double()
    images = features[rows].double()
    expected = {
        "i2t": small.contrast(images, texts, labels[rows]),
        "t2i": small.contrast(texts, images, labels[rows]),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("source", ["visible", "infrared", "both"])
def test_tsg_learns_from_the_images_that_text_from_names(small, source):
    context = small.make_context()
    small.begin(small.make_method(text_from=source), "tsg", context)
    infrared = context.state["learnt_infrared"]
    assert (infrared.numel(), int(infrared.sum())) == {
        "visible": (18, 0),
        "infrared": (18, 18),
        "both": (36, 18),
    }[source]


def test_bimodal_tsg_contrasts_pairs_of_a_person_with_the_texts_of_both_learners(small):
    method, context = small.make_method(text_from="bimodal", tune_prompts=False), small.make_context()
    stage = small.begin(method, "tsg", context)
    state, network = context.state, method.network
    drawn = stage._draw(stage._cache, torch.Generator().manual_seed(3))
    labels, infrared = state["learnt_labels"][drawn], state["learnt_infrared"][drawn]
    assert infrared.tolist() == [False] * 3 + [True] * 3
    assert torch.equal(labels[:3], labels[3:])
    texts = network.texts_of({"visible": labels[:3], "infrared": labels[3:]})
    texts = torch.cat([texts["visible"], texts["infrared"]]).detach().double()
    images = state["learnt_features"][drawn].double()
    found = stage.step(small.seeds(3))
    expected = {
        "i2t": small.contrast(images, texts, labels),
        "t2i": small.contrast(texts, images, labels),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)
    stage.total(found).backward()
    for name in ("visible", "infrared"):
        gradient = network.prompts[name].tokens.grad
        assert gradient[labels].any()
        assert not gradient[[y for y in range(small.PEOPLE) if y not in labels]].any()


def test_pairs_take_every_image_of_the_person_in_turn(small):
    method = small.make_method(text_from="bimodal", tune_prompts=False)
    stage = small.begin(method, "tsg")
    cache, seen = stage._cache, set()
    for seed in range(60):
        drawn = stage._draw(cache, torch.Generator().manual_seed(seed))
        assert len(set(drawn[:3].tolist())) == 3
        assert cache.infrared[drawn[3:]].all()
        seen |= set(drawn.tolist())
    assert seen == set(range(36))


def test_fusion_learns_alone_from_finished_texts(small, monkeypatch):
    method = small.make_method(text_from="bimodal", tune_prompts=False, fusion={"batch_size": 6})
    assert [stage.name for stage in method.stages()] == ["tsg", "fusion", "ife", "hsa"]
    network, context = method.network, small.make_context()
    with torch.no_grad():
        network.fusion.out.weight.normal_(std=0.3)
    stage = small.begin(method, "fusion", context)
    monkeypatch.setattr(network.text, "encode_embeddings", None)  # would fail if called
    before = {key: value.clone() for key, value in network.state_dict().items()}
    torch.manual_seed(1)
    losses = stage.step(small.seeds(2))
    rows = torch.randperm(36, generator=torch.Generator().manual_seed(2))[:6]
    labels, images = context.state["learnt_labels"][rows], context.state["learnt_features"][rows].double()
    torch.manual_seed(1)
    texts = {name: bank[labels] for name, bank in stage._banks.items()}
    fused = network.combined(texts, 0.1).detach().double()
    assert losses["i2t"].item() == pytest.approx(small.contrast(images, fused, labels), rel=1e-4)
    assert losses["t2i"].item() == pytest.approx(small.contrast(fused, images, labels), rel=1e-4)
    small.train_step(method, stage, small.seeds(2))
    moved = {key for key, value in network.state_dict().items() if not torch.equal(before[key], value)}
    assert moved == {f"fusion.{layer}.{kind}" for layer in ("value", "out") for kind in ("weight", "bias")}


@torch.no_grad()
def test_the_texts_of_two_learners_are_fused_or_averaged(small):
    for fusion in ("csdn", "mean"):
        network = small.make_method(text_from="bimodal", text_fusion=fusion).network
        visible, infrared = (network.text.encode_embeddings(*p()) for p in network.prompts.values())
        if fusion == "mean":
            assert network.fusion is None
            expected = (visible + infrared) / 2
        else:
            network.fusion.out.weight.normal_()
            hidden = torch.tanh(infrared @ network.fusion.value.weight.t() + network.fusion.value.bias)
            expected = visible + hidden @ network.fusion.out.weight.t() + network.fusion.out.bias
        torch.testing.assert_close(network.text_features(), expected, atol=1e-5, rtol=1e-5)
        network.train()
        torch.testing.assert_close(network.text_features(), expected, atol=1e-5, rtol=1e-5)


def test_the_fusion_is_finished_in_the_last_stage(small):
    method = small.make_method(text_from="bimodal")
    stage = small.begin(method, "hsa")
    trained = {p for group in stage.parameter_groups() for p in group.parameters}
    assert not trained & set(method.network.fusion.parameters())
    assert {p.tokens for p in method.network.prompts.values()} <= trained


def test_tsg_draws_by_the_seed_of_the_batch_and_needs_its_cache(small):
    method = small.make_method()
    with pytest.raises(RuntimeError, match="before_stage"):
        small.stage_of(method, "tsg").step(small.seeds())
    with pytest.raises(RuntimeError, match="training set"):
        small.stage_of(method, "tsg").before_stage(StageContext())
    stage = small.begin(method, "tsg")
    first, again, other = (stage.step(small.seeds(s))["i2t"].item() for s in (1, 1, 2))
    assert first == again != other


def test_a_resumed_tsg_reads_no_image(small):
    method, context = small.make_method(), small.make_context()
    expected = small.begin(method, "tsg", context).step(small.seeds(4))["i2t"]

    def refuse(share=1.0):
        raise AssertionError("the cache is in the state")

    later = StageContext(iterate_training_set=refuse, state=dict(context.state), resumed=True)
    assert torch.equal(small.begin(method, "tsg", later).step(small.seeds(4))["i2t"], expected)


@pytest.mark.parametrize(
    ("source", "missing", "message"),
    [
        ("visible", [(2, False), (5, False)], "2 of 6 .* no visible images.*: p2, p5; see text_from"),
        ("infrared", [(0, True)], "1 of 6 .* no infrared images.*: p0"),
        ("bimodal", [(1, True)], "no infrared images.*: p1"),
    ],
)
def test_people_whose_text_nothing_could_teach_are_named(small, source, missing, message):
    context = StageContext(
        iterate_training_set=lambda: small.training_set(without=missing),
        label_ids=[f"p{i}" for i in range(6)],
    )
    with pytest.raises(DataError, match=message):
        small.stage_of(small.make_method(text_from=source), "tsg").before_stage(context)


# --- stage 2


@torch.no_grad()
def test_ife_sets_infrared_features_against_the_texts_of_everybody(small):
    method = small.make_method()
    stage = small.begin(method, "ife")
    batch = small.one_modality()
    found = stage.step(batch)
    texts = method.network.text_features().double()
    images = method.network.encode_clips(batch.clips).f.double()
    expected = {
        "i2t": small.cross_entropy(images @ texts.t(), small.LABELS),
        "t2i": small.contrast(texts[small.LABELS], images, small.LABELS),
    }
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)
    assert stage.batches.modality == "infrared"


@torch.no_grad()
@pytest.mark.parametrize(("source", "replayed"), [("visible", slice(0, 6)), ("infrared", slice(6, 12))])
def test_replay_classifies_the_images_that_the_texts_come_from(small, source, replayed):
    method = small.make_method(text_from=source, ife={"loss": {"replay": 1}})
    stage, batch = small.begin(method, "ife"), small.make_batch(views=False)
    assert stage.batches.modality == "both"
    found = stage.step(batch)
    texts = method.network.text_bank.double()
    images = method.network.encode_clips(batch.clips).f.double()
    pulled = slice(6, 12) if source == "visible" else slice(0, 6)
    assert found["replay"].item() == pytest.approx(
        small.cross_entropy(images[replayed] @ texts.t(), small.LABELS), rel=1e-4
    )
    assert found["i2t"].item() == pytest.approx(
        small.cross_entropy(images[pulled] @ texts.t(), small.LABELS), rel=1e-4
    )
    assert found["t2i"].item() == pytest.approx(
        small.contrast(texts[small.LABELS], images[pulled], small.LABELS), rel=1e-4
    )


def test_ife_leaves_the_other_modality_s_stem_alone_unless_it_is_replayed(small):
    method = small.make_method(modality_stems=True)
    stems = method.network.images.visual.stem.stems
    stage = small.begin(method, "ife")
    before = {name: stem.projection.weight.clone() for name, stem in stems.items()}
    small.train_step(method, stage)
    assert torch.equal(stems["visible"].projection.weight, before["visible"])
    assert not torch.equal(stems["infrared"].projection.weight, before["infrared"])
    replaying = small.begin(small.make_method(modality_stems=True, ife={"loss": {"replay": 1}}), "ife")
    assert len(replaying.parameter_groups()[0].parameters) == len(stage.parameter_groups()[0].parameters) + 1


# --- stage 3


@torch.no_grad()
def test_hsa_losses_are_the_documented_ones_of_the_documented_rows(small):
    method, batch = small.make_method(), small.make_batch()
    stage = small.begin(method, "hsa")
    found = stage.step(batch)
    network = method.network
    features = network.encode_clips(batch.clips)
    g, f, last = (x.double() for x in (features.g, features.f, features.last))
    labels, infrared = batch.labels, batch.infrared
    bank, texts = network.text_bank.double(), network.text_features(small.LABELS).double()
    expected = {}
    for name, x in (("g", g), ("f", f)):
        neck = network.necks[name]
        logits = small.normed(neck.norm, x) @ neck.classifier.weight.double().t()
        expected[f"id_{name}"] = small.cross_entropy(logits, labels)
        expected[f"msel_{name}"] = small.modality_gap(x[:12], labels[:12], infrared[:12])
    for name, x in (("g", g), ("f", f), ("last", last)):
        expected[f"wrt_{name}"] = small.weighted_triplet(x, labels)
    for name, images in (("visible", f[:6]), ("infrared", f[6:12])):
        expected[f"i2t_{name}"] = small.cross_entropy(images @ bank.t(), small.LABELS)
        expected[f"contrast_{name}"] = small.both_ways(images, texts, small.LABELS)
    assert {name: value.item() for name, value in found.items()} == pytest.approx(expected, rel=1e-4)
    assert {name: stage.loss_weights[name] for name in found} == {
        **dict.fromkeys(["id_g", "id_f", "msel_g", "msel_f"], 1.0),
        **dict.fromkeys(["wrt_g", "wrt_f", "wrt_last"], 0.15),
        **{"i2t_visible": 0.05, "i2t_infrared": 0.1, "contrast_visible": 0.05, "contrast_infrared": 0.1},
    }
    total = sum(stage.loss_weights[name] * value for name, value in expected.items())
    assert stage.total(found).item() == pytest.approx(total, rel=1e-4)


def test_hsa_computes_the_text_of_each_person_of_the_batch_once(small, monkeypatch):
    method = small.make_method()
    stage, seen = small.begin(method, "hsa"), []
    real = method.network.text.encode_embeddings

    def record(embeddings, end, prefix):
        seen.append((tuple(embeddings.shape), tuple(prefix.shape)))
        return real(embeddings, end, prefix=prefix)

    monkeypatch.setattr(method.network.text, "encode_embeddings", record)
    stage.step(small.make_batch())
    assert seen == [
        ((3, 6, 16), (3, 16))
    ]  # own positions of 3 people; 3 common words; nothing behind the end


def test_gradient_of_the_contrast_reaches_prompts_and_tower_that_of_i2t_the_tower_alone(small):
    method = small.make_method()
    stage = small.begin(method, "hsa")
    losses = stage.step(small.make_batch())
    tokens = method.network.prompts["shared"].tokens
    tower = method.network.images.visual.projection.weight
    for name, reaches in (("i2t_visible", False), ("contrast_visible", True), ("contrast_infrared", True)):
        gradients = torch.autograd.grad(losses[name], [tokens, tower], retain_graph=True, allow_unused=True)
        assert (gradients[0] is not None and bool(gradients[0].any())) is reaches, name
        assert gradients[1].any(), name
    assert not tokens.grad


def test_the_text_bank_is_refreshed_before_each_epoch_and_not_in_between(small):
    method, context = small.make_method(), small.make_context()
    stage = small.begin(method, "hsa", context)
    network = method.network
    torch.testing.assert_close(network.text_bank, network.text_features())
    bank = network.text_bank.clone()
    small.train_step(method, stage, lr=1.0)
    assert torch.equal(network.text_bank, bank)
    assert not torch.allclose(network.text_features(), bank, atol=1e-4)
    stage.before_epoch(1, context)
    torch.testing.assert_close(network.text_bank, network.text_features())
    assert not network.text_bank.requires_grad


def test_text_fixed_in_the_last_stage_comes_from_the_bank(small):
    method = small.make_method(tune_prompts=False)
    stage = small.begin(method, "hsa")
    method.network.text.encode_embeddings = None  # would fail if called
    losses = stage.step(small.make_batch())
    tokens = method.network.prompts["shared"].tokens
    assert id(tokens) not in {id(p) for g in stage.parameter_groups() for p in g.parameters}
    assert losses["contrast_visible"] > 0


def test_batches_that_split_a_person_are_refused(small):
    stage = small.begin(small.make_method(batches={"identities": 3, "tracklets": 4}), "hsa")
    with pytest.raises(ValueError, match=r"6 rows a modality: expected a multiple of batches\.tracklets = 4"):
        stage.step(small.make_batch())


# --- what moves


MOVES = {
    "tsg": ("prompts.", "text_bank"),
    "ife": ("images.",),
    "hsa": ("images.", "necks.", "prompts.", "text_bank"),
}


@pytest.mark.parametrize("name", list(MOVES))
def test_a_stage_moves_what_it_declares_and_everything_else_stays_bit_for_bit(small, name):
    method = small.make_method()
    stage = small.begin(method, name)
    before = {key: value.clone() for key, value in method.network.state_dict().items()}
    stage.after_epoch(0, small.make_context())
    for _ in range(2):  # the first classifier gradient needs features, the first of a norm a classifier
        small.train_step(method, stage)
    stage.after_stage(small.make_context())
    after = method.network.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    fixed = {f"necks.{head}.norm.bias" for head in ("g", "f")}
    expected = {key for key in before if key.startswith(MOVES[name])} - fixed
    expected -= {key for key in expected if key.endswith(("prefix", "suffix"))}
    assert moved == expected
    assert not any(key.startswith("text.") for key in moved)


def test_every_trained_parameter_gets_a_finite_gradient(small):
    method = small.make_method()
    for name in MOVES:
        stage = small.begin(method, name)
        method.zero_grad()
        losses = stage.step(small.batch_of(stage))
        stage.total(losses).backward()
        trained = [p for g in stage.parameter_groups() for p in g.parameters]
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
        assert all(value.dtype is torch.float32 and value.shape == () for value in losses.values())
