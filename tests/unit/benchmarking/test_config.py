import pytest

from tapetum.benchmarking import choose_config
from tapetum.benchmarking.config import usable_processors
from tapetum.errors import ConfigError
from tapetum.methods import method_names


def test_overrides_win_over_quick_and_device():
    plain, quick = choose_config({}), choose_config({}, quick=True)
    assert quick.metrics.queries < plain.metrics.queries
    assert quick.metrics.dimension == plain.metrics.dimension
    found = choose_config({"metrics": {"queries": 7}, "rounds": 9}, quick=True, device="cuda:1")
    assert (found.metrics.queries, found.rounds, found.device, found.kind) == (7, 9, "cuda:1", "cuda")
    assert found.metrics.gallery == quick.metrics.gallery


def test_an_accelerator_gets_published_batches():
    found = choose_config({}, device="cuda")
    assert (found.training.identities, found.training.frames) == (None, None)
    assert found.training.largest_batch
    assert not choose_config({}).training.largest_batch


def test_threads_are_those_that_may_be_used():
    assert choose_config({}).threads == usable_processors() >= 1
    assert choose_config({}, threads=3).threads == 3


def test_unknown_sizes_are_refused():
    with pytest.raises(ConfigError, match="querys"):
        choose_config({"metrics": {"querys": 7}})


def test_methods_are_those_of_the_package():
    assert set(choose_config({}).training.methods) <= set(method_names())
