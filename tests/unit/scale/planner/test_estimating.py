from dataclasses import replace

import pytest

from tapetum.scale.planner import ModelRates, Rates, Workload, estimate, parse_count

OF = ModelRates(
    device="cpu",
    precision="32",
    threads=4,
    frames_per_s=100.0,
    flop_per_frame=1e10,
    weight_bytes=400_000_000,
    dimension=512,
    height=256,
    width=128,
    clip_frames=8,
    sampling="uniform",
)
RATES = Rates("a machine", 4, 1000.0, 1e9, 4.096e9, 5000.0, {"m": OF})


def figures(workload, rates=RATES):
    return {line.what: line.value for line in estimate(workload, rates, "m")}


def test_a_million_tracklets_on_a_processor_as_worked_by_hand():
    found = figures(Workload(1_000_000))
    assert found["pictures read"] == found["frames encoded"] == 8_000_000
    assert found["encoding"] == pytest.approx(80_000 / 3600)
    assert found["reading"] == pytest.approx(2_000 / 3600)  # 8 M pictures by 4 x 1000 a second
    assert found["extraction"] == pytest.approx(1.05 * 82_000 / 3600)  # one after the other on the same cores
    assert found["network"] == pytest.approx(1.6e11 / 86_100 / 1e6)
    assert found["processors to keep up"] == pytest.approx(0.1)
    assert found["shards"] == 489
    assert found["pictures"] == pytest.approx(149.012, abs=1e-3)
    assert found["embeddings"] == pytest.approx(2.304e9 / 2**30)  # 2048 + 160 + 96 bytes a row
    assert found["a shard's file"] == pytest.approx(4.5)
    assert found["memory of a worker"] == pytest.approx(1.4428, abs=1e-4)
    assert found["loading the gallery"] == pytest.approx(200 / 3600)
    assert found["gallery on disk"] == pytest.approx(2.648e9 / 2**30)
    assert found["vectors in memory"] == pytest.approx(2.048e9 / 2**30)
    assert found["links in memory"] == pytest.approx(1.28e8 / 2**30)
    assert found["exact search, one query"] == pytest.approx(500.0)


def test_accelerators_that_were_not_measured_are_assumed_and_say_so():
    workload = Workload(1_000_000, gpus=8)
    found = figures(workload)
    assert found["encoding speed"] == pytest.approx(12_000)  # 40 % of 300 TFLOP/s by 10 GFLOP
    assert found["encoding"] == pytest.approx(8e6 / 96_000 / 3600)
    assert found["extraction"] == pytest.approx(1.05 * 2_000 / 3600)  # reading is the longer
    assert found["processors to keep up"] == pytest.approx(96)
    (line,) = [line for line in estimate(workload, RATES, "m") if line.what == "encoding speed"]
    assert line.formula.startswith("ASSUMED")
    hidden = replace(RATES, models={"m": replace(OF, flop_per_frame=0.0)})
    with pytest.raises(ValueError, match="no GPU was measured"):
        estimate(workload, hidden, "m")
    measured = replace(RATES, models={"m": replace(OF, device="cuda", frames_per_s=2000.0)})
    assert figures(workload, measured)["encoding speed"] == 2000


def test_copies_machines_and_long_tracklets_count():
    plain, spread = figures(Workload(1000)), figures(Workload(1000, replicas=2, nodes=4))
    assert spread["gallery on disk"] == 2 * plain["gallery on disk"]
    assert spread["vectors in memory"] == plain["vectors in memory"] / 2
    assert spread["exact search, one query"] == plain["exact search, one query"] / 4
    assert figures(Workload(1, frames=640))["frames encoded"] == 64  # eight clips at most
    assert figures(Workload(1, frames=2))["pictures read"] == 2


@pytest.mark.parametrize("text", ["", "many", "1.5", "0", "-3", "1e6", "10T", "M"])
def test_counts_that_are_none_are_refused(text):
    with pytest.raises(ValueError, match="is no count"):
        parse_count(text)


@pytest.mark.parametrize("bad", [{"tracklets": 0}, {"frames": 0}, {"gpus": -1}, {"nodes": 0}])
def test_workloads_that_cannot_be_are_refused(bad):
    with pytest.raises(ValueError, match=rf"{next(iter(bad))} is .*; expected at least"):
        Workload(**{"tracklets": 1, **bad})


def test_a_model_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match=r"no rates of model 'n' \(measured: m\)"):
        estimate(Workload(1), RATES, "n")
