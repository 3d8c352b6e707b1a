import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tapetum.errors import DataError
from tapetum.models.prototypes import ModalityPrototypes, PrototypeMemory

IDENTITIES, DIM = 6, 5


def unit(vector):
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def random_batch(seed=0, identities=(4, 1, 0), each=3):
    """Visible rows, then infrared rows of the same identities, in float64."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([y for y in identities for _ in range(each)]).repeat(2)
    features = torch.randn(len(labels), DIM, generator=generator, dtype=torch.float64)
    return features, labels, torch.arange(len(labels)) >= len(labels) // 2


def random_memory(seed=1):
    memory = PrototypeMemory(IDENTITIES, DIM).double()
    generator = torch.Generator().manual_seed(seed)
    for bank in memory.buffers():
        drawn = torch.randn(bank.shape, generator=generator, dtype=bank.dtype)
        bank.copy_(torch.nn.functional.normalize(drawn, dim=1))
    return memory


def reference_update(bank, features, labels, allowed, momentum):
    """One identity after the other, one clip after the other."""
    bank = [list(row) for row in bank]
    for y in sorted(set(labels)):
        candidates = [
            unit(f) for f, other, ok in zip(features, labels, allowed, strict=True) if other == y and ok
        ]
        if candidates:
            hardest = min(candidates, key=lambda f: dot(f, bank[y]))
            bank[y] = unit([momentum * m + (1 - momentum) * f for m, f in zip(bank[y], hardest, strict=True)])
    return bank


@pytest.mark.parametrize("rule", ["cross", "all", "intra"])
@pytest.mark.parametrize("seed", range(5))
def test_updates_are_those_of_a_loop(rule, seed):
    features, labels, infrared = random_batch(seed)
    memory = random_memory(seed)
    expected = {}
    for name, own in (("visible", ~infrared), ("infrared", infrared)):
        allowed = {"cross": ~own, "intra": own, "all": own | ~own}[rule].tolist()
        bank = getattr(memory, name).tolist()
        expected[name] = reference_update(bank, features.tolist(), labels.tolist(), allowed, 0.3)
    memory.update(features, labels, infrared, rule=rule, momentum=0.3)
    for name, bank in expected.items():
        torch.testing.assert_close(
            getattr(memory, name), torch.tensor(bank, dtype=torch.float64), atol=1e-12, rtol=0
        )


def test_the_worked_example():
    """Hardest of (0.6, 0.8) and (0.8, 0.6) against (1, 0) is the first: 0.2 (1, 0) + 0.8 (0.6, 0.8)."""
    memory = PrototypeMemory(3, 2)
    memory.visible[1] = torch.tensor([1.0, 0.0])
    clips = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    labels, infrared = torch.tensor([1, 1, 1]), torch.tensor([False, True, True])
    memory.update(clips, labels, infrared, rule="cross", momentum=0.2)
    torch.testing.assert_close(memory.visible[1], torch.tensor([0.7282, 0.6854]), atol=1e-4, rtol=0)
    assert not memory.visible[[0, 2]].any()
    torch.testing.assert_close(memory.infrared[1], torch.tensor([1.0, 0.0]))


def test_identities_without_an_allowed_clip_keep_their_prototypes():
    memory = random_memory()
    before = memory.visible.clone(), memory.infrared.clone()
    features, labels, infrared = random_batch()
    memory.update(features[:9], labels[:9], infrared[:9], rule="cross", momentum=0.2)
    assert torch.equal(memory.visible, before[0])
    present = [0, 1, 4]
    assert not torch.allclose(memory.infrared[present], before[1][present], atol=1e-3)
    assert torch.equal(memory.infrared[[2, 3, 5]], before[1][[2, 3, 5]])


def test_an_update_takes_no_gradient_and_other_lengths_make_no_difference():
    features, labels, infrared = random_batch()
    one, other = random_memory(), random_memory()
    one.update(features.requires_grad_(), labels, infrared, rule="all", momentum=0.2)
    other.update(7 * features.detach(), labels, infrared, rule="all", momentum=0.2)
    assert not one.visible.requires_grad
    torch.testing.assert_close(one.visible, other.visible)
    assert torch.allclose(one.visible.norm(dim=1), torch.ones(IDENTITIES).double())


def test_filling_takes_the_direction_of_the_mean():
    features, labels, infrared = random_batch(identities=range(IDENTITIES), each=2)
    memory = PrototypeMemory(IDENTITIES, DIM)
    memory.fill(features, labels, infrared)
    for name, side in (("visible", False), ("infrared", True)):
        for y in range(IDENTITIES):
            rows = [
                f for f, z, m in zip(features.tolist(), labels, infrared, strict=True) if z == y and m == side
            ]
            mean = unit([sum(column) / len(rows) for column in zip(*rows, strict=True)])
            torch.testing.assert_close(getattr(memory, name)[y], torch.tensor(mean))


def test_people_without_one_modality_are_named_and_nothing_changes():
    features, labels, infrared = random_batch(identities=range(IDENTITIES), each=1)
    kept = torch.tensor([i for i in range(12) if i not in (1, 3, 10)])
    memory = PrototypeMemory(IDENTITIES, DIM)
    ids = ["ann", "bob", 17, "dan", "eve", "flo"]
    with pytest.raises(DataError, match="no visible tracklet of bob, dan; no infrared tracklet of eve"):
        memory.fill(features[kept], labels[kept], infrared[kept], ids)
    assert not memory.visible.any()
    with pytest.raises(DataError, match="no visible tracklet of label 1, label 3;"):
        memory.fill(features[kept], labels[kept], infrared[kept])
    with pytest.raises(DataError, match="label 7 and 11 more"):
        PrototypeMemory(20, DIM).fill(features[:1], torch.tensor([19]), infrared[:1])


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="unknown memory update 'own'; known: cross, all, intra"):
        random_memory().update(*random_batch(), rule="own", momentum=0.2)


def test_memories_are_not_part_of_a_saved_model():
    assert random_memory().state_dict() == {}


class Operators(TorchDispatchMode):
    """Names of all operators, and the shapes of new tensors that they make."""

    def __init__(self):
        super().__init__()
        self.names, self.shapes = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.names.append(name)
        if isinstance(out, torch.Tensor) and not name.endswith("_"):
            self.shapes.append(tuple(out.shape))
        return out


@pytest.mark.parametrize("rule", ["cross", "all", "intra"])
def test_an_update_waits_for_nothing_and_costs_the_same_for_any_number_of_people(rule):
    features, labels, infrared = random_batch()
    memory = PrototypeMemory(1000, DIM)
    with Operators() as seen:
        memory.update(features.float(), labels, infrared, rule=rule, momentum=0.2)
    assert "index_copy_" in seen.names
    assert not {"_local_scalar_dense", "nonzero", "_unique2"} & set(seen.names)
    assert not [shape for shape in seen.shapes if 1000 in shape]


# --- of modalities


def test_modality_prototypes_accumulate_and_undo_their_share():
    prototypes = ModalityPrototypes(3, 4)
    generator = torch.Generator().manual_seed(0)
    expected = None
    for _ in range(3):
        moments = torch.randn(2, 3, 4, generator=generator).requires_grad_()
        blend, factor = prototypes.blend(moments, 0.9)
        expected = moments.detach() if expected is None else 0.9 * expected + 0.1 * moments.detach()
        torch.testing.assert_close(blend, expected)
        weights = torch.randn(2, 3, 4, generator=generator)
        (factor * (blend * weights).sum()).backward()
        torch.testing.assert_close(moments.grad, weights)
        prototypes.keep(blend)
        assert torch.equal(prototypes.moments, blend)
        assert not prototypes.moments.requires_grad


def test_without_momentum_nothing_is_accumulated():
    prototypes = ModalityPrototypes(2, 3)
    prototypes.keep(torch.ones(2, 2, 3))
    moments = torch.randn(2, 2, 3)
    blend, factor = prototypes.blend(moments, 0.0)
    assert torch.equal(blend, moments)
    assert factor == 1


def test_modality_prototypes_are_no_part_of_a_state_dict():
    prototypes = ModalityPrototypes(3, 4)
    assert prototypes.state_dict() == {}
    assert {name for name, _ in prototypes.named_buffers()} == {"moments", "begun"}
