import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from tapetum.errors import CheckpointError
from tapetum.methods._base import Method, create_method
from tapetum.methods._checkpoint import (
    all_tensors,
    assign_tensors,
    fingerprint,
    load_method,
    read_header,
    read_tensors,
    save_method,
    stored_tensors,
)

SMALL = {"height": 32, "width": 16, "frames": 2}


@pytest.fixture
def method() -> Method:
    torch.manual_seed(0)
    return create_method("small-cnn", num_identities=5, num_cameras=2, preset="tiny", **SMALL)


@pytest.fixture
def stored(method, tmp_path):
    path = tmp_path / "model.safetensors"
    save_method(method, path, label_ids=(3, "x", 9, 10, 11), camera_ids=(1, 6), extra={"steps": 7})
    return path


def rewrite(path, change, header=None):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {**read_header(path), **(header or {})})


def test_a_method_is_rebuilt_from_its_file_alone(method, stored):
    torch.manual_seed(99)
    found = load_method(stored)
    clips = torch.randn(2, 2, 3, 32, 16)
    with torch.inference_mode():
        assert torch.equal(found.method.encode(clips), method.eval().encode(clips))
    assert not found.method.training
    assert found.fingerprint == fingerprint(method) == fingerprint(found.method)
    assert (found.label_ids, found.camera_ids, found.extra) == ((3, "x", 9, 10, 11), (1, 6), {"steps": 7})
    assert (found.method.num_identities, found.method.num_cameras) == (5, 2)
    assert found.method.config == method.config


def test_a_file_of_a_version_that_lacked_some_settings_keeps_its_name(method, stored):
    config = json.loads(read_header(stored)["config"])
    for block, names in {
        "batches": ("modality",),
        "augment": ("exchanged_view",),
        "optim": ("momentum", "nesterov"),
        "schedule": ("fall",),
    }.items():
        for name in names:
            del config[block][name]
    rewrite(stored, lambda tensors: None, {"config": json.dumps(config)})
    assert load_method(stored).fingerprint == fingerprint(method)
    changed = method.config.optim.model_copy(update={"momentum": 0.5})
    method.config = method.config.model_copy(update={"optim": changed})
    assert load_method(stored).fingerprint != fingerprint(method)


def test_the_header_says_what_the_file_is(stored):
    with safe_open(stored, "pt") as file:
        header = file.metadata()
    assert (header["format"], header["method"]) == ("tapetum-method-1", "small-cnn")
    assert json.loads(header["config"])["height"] == 32


def test_fingerprints_follow_weights_configuration_and_sizes(method):
    names = {fingerprint(method)}
    with torch.no_grad():
        next(method.parameters()).view(-1)[0] += 1e-3
    names.add(fingerprint(method))
    state = method.state_dict()
    for change in ({"frames": 3}, {"test_sampling": "uniform"}):
        twin = create_method(
            "small-cnn", num_identities=5, num_cameras=2, preset="tiny", **{**SMALL, **change}
        )
        twin.load_state_dict(state)
        names.add(fingerprint(twin))
    assert len(names) == 4


def test_the_path_of_the_first_weights_is_not_in_the_fingerprint(method):
    before = fingerprint(method)
    method.config = method.config.model_copy(update={"weights": "/somewhere/else.pt"})
    assert fingerprint(method) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("backbone.0.0.weight"), r"missing: backbone\.0\.0\.weight"),
        (lambda t: t.update(stray=torch.ones(1)), "unexpected: stray"),
        (
            lambda t: t.update({"backbone.0.0.weight": torch.ones(2)}),
            r"backbone\.0\.0\.weight is \[2\] float32, expected \[\d+, 3, 3, 3\]",
        ),
        (
            lambda t: t.update({"backbone.0.0.weight": t["backbone.0.0.weight"].half()}),
            r"float16, expected .* float32",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(stored, change, message):
    rewrite(stored, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_method(stored)
    assert str(stored) in str(caught.value)


def test_an_altered_weight_is_noticed(stored):
    rewrite(stored, lambda t: t["backbone.0.0.weight"].view(-1)[:1].add_(1e-3))
    with pytest.raises(CheckpointError, match="does not match its fingerprint"):
        load_method(stored)


def test_foreign_and_broken_files_are_refused(tmp_path, stored):
    save_file({"w": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match=r"foreign\.safetensors: not a method of this package"):
        load_method(tmp_path / "foreign.safetensors")
    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        load_method(stored)
    with pytest.raises(FileNotFoundError, match="nothing"):
        load_method(tmp_path / "nothing.safetensors")


def test_an_unknown_method_is_named(stored):
    rewrite(stored, lambda t: None, {"method": "small-cnm"})
    with pytest.raises(ValueError, match="unknown method 'small-cnm'; did you mean 'small-cnn'"):
        load_method(stored)


def test_a_failed_assignment_copies_nothing():
    module = nn.Linear(2, 2)
    before = {n: t.clone() for n, t in module.state_dict().items()}
    with pytest.raises(CheckpointError):
        assign_tensors(dict(module.named_parameters()), {"weight": torch.zeros(2, 2)}, "file")
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())


def test_tied_and_hidden_tensors(method):
    method.twin = method.necks[0]
    method.register_buffer("hidden", torch.ones(3), persistent=False)
    assert not any(name.startswith("twin.") for name in stored_tensors(method))
    assert "hidden" not in stored_tensors(method)
    assert "hidden" in all_tensors(method)
    assert all(not t.requires_grad for t in all_tensors(method).values())


def test_reading_gives_tensors_and_header(stored, method):
    tensors, header = read_tensors(stored)
    assert tensors.keys() == stored_tensors(method).keys()
    assert header == read_header(stored)


def test_a_method_knows_the_cameras_of_its_file(method, tmp_path):
    assert method.camera_ids == tuple(range(method.num_cameras))
    names = [f"D{i}" for i in range(method.num_cameras)]
    save_method(method, tmp_path / "m.safetensors", camera_ids=names)
    loaded = load_method(tmp_path / "m.safetensors")
    assert loaded.camera_ids == loaded.method.camera_ids == tuple(names)


def test_cameras_count_for_methods_that_read_them(method, tmp_path, monkeypatch):
    def name_after(camera_ids):
        method.camera_ids = camera_ids
        return fingerprint(method)

    one, other = tuple(range(method.num_cameras)), tuple(f"D{i}" for i in range(method.num_cameras))
    assert name_after(one) == name_after(other)
    monkeypatch.setattr(type(method), "reads_cameras", True)
    assert name_after(one) != name_after(other)
    save_method(method, tmp_path / "m.safetensors")
    assert load_method(tmp_path / "m.safetensors").method.camera_ids == other
