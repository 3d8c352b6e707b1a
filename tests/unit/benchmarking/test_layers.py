import pytest

from tapetum.benchmarking.layers import PREFIX, layer_cases, layer_flops, limit_of
from tapetum.benchmarking.measuring import Timing, take_turns

SHAPE = (8, 16, 4)


def test_operations_of_a_layer_by_hand():
    assert layer_flops(SHAPE) == 2 * 8 * 16 * 4


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_ways_of_the_number_type_are_timed(precision):
    cases = layer_cases("cpu", SHAPE, precision)
    assert cases
    assert all(name.startswith(f"{PREFIX}{precision}") for name in cases)
    assert take_turns(cases, 1).keys() == cases.keys()
    assert cases.keys() < layer_cases("cpu", SHAPE).keys()


def test_the_limit_is_the_quickest_library_of_the_number_type():
    seconds = {"float32, torch": 4.0, "float32, oneDNN": 2.0, "bfloat16, torch": 1.0}
    timings = {f"{PREFIX}{n}": Timing(f"{PREFIX}{n}", s, s, s, 2 * s, 0, 1) for n, s in seconds.items()}
    timings["step"] = Timing("step", 0.1, 0.1, 0.1, 0.1, 0, 1)
    found = limit_of(timings, "float32", SHAPE, 3 * layer_flops(SHAPE), "cpu")
    assert (found.what, found.wall_s, found.cpu_s) == (f"{PREFIX}float32, oneDNN", 6.0, 12.0)
    assert limit_of(timings, "bfloat16", SHAPE, layer_flops(SHAPE), "cuda").cpu_s is None
