import pytest
import torch
from safetensors.torch import load_file

from tapetum.config import build_config
from tapetum.data.synthetic import VOCABULARY
from tapetum.data.synthetic.crowd import draw_crowd
from tapetum.errors import CheckpointError
from tapetum.models import load_clip
from tapetum.models.standin import TINY_TEXT, TINY_VISION, read_words, standin_path
from tapetum.training import stand_in
from tapetum.training.pretraining import PretrainConfig, Pretraining
from tapetum.training.stand_in import run_pretraining


@pytest.fixture(scope="module")
def settings(small_pretraining):
    return {**small_pretraining, "identities": 4, "batch": 2}


@pytest.fixture(scope="module")
def config(settings):
    return build_config(PretrainConfig, settings)


@pytest.fixture(scope="module")
def made(tmp_path_factory, config):
    """Folder of a pretraining, its card, progress and notes."""
    out = tmp_path_factory.mktemp("stand-in") / "out"
    calls, notes = [], []
    card = run_pretraining(config, out, progress=lambda *call: calls.append(call), note=notes.append)
    return out, card, calls, notes


def test_what_a_pretraining_leaves(made):
    out, card, calls, notes = made
    assert (card.weights, card.text) == (out / "tiny-clip.safetensors", out / "tiny-clip.md")
    assert sorted(p.name for p in out.iterdir()) == [
        "state.safetensors",
        "tiny-clip.md",
        "tiny-clip.safetensors",
    ]
    assert calls == [(4, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert [note.partition(":")[0] for note in notes] == ["pass 1", "pass 2"]
    assert "visible rank-1" in notes[0]
    assert "infrared rank-1" in notes[0]


def test_the_weights_are_the_model_and_its_words(made, config):
    _, card, _, _ = made
    assert all(t.dtype == torch.float16 for t in load_file(card.weights).values())
    assert read_words(card.weights) == tuple(VOCABULARY)
    clip = load_clip(card.weights)
    assert (clip.visual.config, clip.text.config) == (config.vision(), config.text())
    run = Pretraining.start(config, torch.device("cpu"))
    crowd = draw_crowd(config.crowd(unseen=False))
    for _ in range(2):
        run.epoch(crowd, lambda *_: None)
    for name, tensor in run.model.state_dict().items():
        assert torch.equal(clip.state_dict()[name], tensor.half().float()), name


def test_the_card_says_how_it_was_made(made):
    text = made[1].text.read_text(encoding="utf-8")
    assert "tapetum pretrain" in text
    assert "| visible |" in text
    assert "| infrared |" in text
    for key in ("identities: 4", "epochs: 2", "seed: 0", "joint: 16"):
        assert key in text
    assert "{" not in text.replace("{}", "")


def test_an_interrupted_pretraining_goes_on_to_the_same_weights_and_card(made, tmp_path, monkeypatch, config):
    class Stop(Exception):
        pass

    real = Pretraining.save

    def save(self, path):
        real(self, path)
        raise Stop

    monkeypatch.setattr(Pretraining, "save", save)
    with pytest.raises(Stop):
        run_pretraining(config, tmp_path / "out")
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["state.safetensors"]
    card = run_pretraining(config, tmp_path / "out", resume=True)
    resumed, whole = load_file(card.weights), load_file(made[1].weights)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert card.text.read_text() == made[1].text.read_text()


def test_refusals_touch_nothing(made, tmp_path, monkeypatch, config, settings):
    monkeypatch.setattr(stand_in, "draw_crowd", None)  # nobody is drawn for nothing
    out = made[0]
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(FileExistsError, match="not empty; give another folder, or --resume"):
        run_pretraining(config, out)
    with pytest.raises(CheckpointError, match="another configuration"):
        run_pretraining(build_config(PretrainConfig, settings, {"lr": 0.5}), out, resume=True)
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        run_pretraining(config, tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_the_packaged_stand_in_is_what_tiny_methods_expect():
    clip = load_clip(standin_path())
    assert clip.visual.config == TINY_VISION
    assert clip.text.config.output_dim == TINY_TEXT.output_dim
    assert read_words(standin_path()) == tuple(VOCABULARY)
    default = PretrainConfig()
    assert (default.vision(), default.text()) == (clip.visual.config, clip.text.config)
