"""Each stage at its smallest: rows with limits, and the work that is timed gives the right numbers."""

import numpy as np
import pytest
import torch

from tapetum.benchmarking import STAGES
from tapetum.benchmarking.prompt_steps import make_prompt_steps
from tapetum.benchmarking.stages import metrics, parts_of, reranking, training
from tapetum.benchmarking.stages.extraction import least_cosine
from tapetum.evaluation import rerank, score_embeddings
from tapetum.methods._base import method_config
from tapetum.methods._clip4vi_network import SHARED
from tapetum.scale.planner import load_rates

QUICK = ("machine", "training", "extraction", "metrics", "reranking")


@pytest.mark.parametrize("stage", QUICK)
def test_a_stage_gives_rows_of_finite_figures(stage, make_config, tmp_path):
    for part, run in parts_of(stage, make_config(), tmp_path).items():
        rows = run()
        assert rows, part
        for row in rows:
            assert np.isfinite(row.value), (part, row)
            assert row.value > 0, (part, row)
            assert row.ratio is None or row.ratio > 0
            assert (row.limit is None) == (row.limit_of == "")


@pytest.mark.parametrize("stage", ["training", "extraction", "reranking", "metrics"])
def test_what_has_a_limit_says_so(stage, make_config, tmp_path):
    rows = [row for run in parts_of(stage, make_config(), tmp_path).values() for row in run()]
    assert all(row.limit is not None and row.cpu_ratio is not None for row in rows)


def test_reading_is_held_to_decoding(make_config, tmp_path):
    (run,) = parts_of("reading", make_config(), tmp_path).values()
    ours, usual = run()
    assert (ours.limit_of, usual.limit_of) == ("decoded alone", "decoded alone")
    assert ours.limit == usual.limit
    assert (ours.gain is not None, usual.gain) == (True, None)


def test_search_is_held_to_the_rows_it_looks_at(make_config, tmp_path):
    (run,) = parts_of("search", make_config(), tmp_path).values()
    stored, every, visible, tenth, scan = run()
    assert stored.unit == "rows/s"
    assert visible.limit == pytest.approx(every.limit / 2)
    assert tenth.limit < visible.limit
    assert scan.unit == "GB/s"


def test_pretraining_makes_steps(make_config, tmp_path, small_pretraining):
    sizes = {k: v for k, v in small_pretraining.items() if k not in ("batch", "precision")}
    config = make_config(pretraining={"batch": 3, "set": sizes})
    for run in parts_of("pretraining", config, tmp_path).values():
        (row,) = run()
        assert (row.facts["pairs"], row.ratio > 0) == (3, True)


def test_rates_are_a_file_that_the_planner_reads(make_config, tmp_path):
    config = make_config()
    for run in parts_of("rates", config, tmp_path).values():
        assert [row.unit for row in run()] == ["frames/s", "pictures/s", "MB/s", "MB/s", "rows/s"]
    rates = load_rates(tmp_path / "rates.json")
    assert tuple(rates.models) == ("small-cnn",)
    assert rates.of("small-cnn").precision == "bf16"


def test_batches_are_cut_and_never_enlarged(make_config):
    sizes = make_config(training={"preset": "paper", "identities": 3, "frames": 2}).training
    own = method_config("lsmrl", "paper", {})
    assert own.frames > 2
    assert own.batches.identities > 3
    assert training.small_batch("lsmrl", sizes) == {
        "batches.identities": 3,
        "batches.tracklets": 2,
        "frames": 2,
    }
    assert "frames" not in training.small_batch("agw", sizes)
    whole = make_config(training={"identities": None, "tracklets": None, "frames": None}).training
    assert training.small_batch("lsmrl", whole) == {}


def test_the_plain_loop_is_the_same_measure(make_config):
    rng = np.random.default_rng(1)
    query, gallery = (metrics.random_embeddings(rng, n, 8, 4) for n in (12, 40))
    expected = score_embeddings(query, gallery)
    *cmc, mean_ap, mean_inp = metrics.plain_loop(query, gallery)
    np.testing.assert_allclose(cmc, expected.cmc, atol=1e-12)
    assert (mean_ap, mean_inp) == pytest.approx((expected.mean_ap, expected.mean_inp))


def test_the_dense_form_is_the_same_re_ranking():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((120, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    query, gallery = vectors[:20], vectors[20:]
    found = rerank(query, gallery, k1=20, k2=6, lambda_value=0.3)
    dense = reranking.dense_rerank(query, gallery)
    order = np.argsort(found, axis=1), np.argsort(dense, axis=1)
    assert (order[0][:, :5] == order[1][:, :5]).mean() > 0.9


def test_prompts_have_the_same_texts_in_all_ways():
    settings = {"tsg.batch_size": 4}
    made = make_prompt_steps("tiny", settings, identities=6, images=12)
    labels = torch.tensor([0, 3, 3, 5])
    network = made.method.network
    with torch.no_grad():
        expected = next(iter(network.texts_of({SHARED: labels}).values()))
        for encode in (made.whole_prompts, made.all_positions):
            torch.testing.assert_close(encode(labels), expected, rtol=1e-5, atol=1e-5)
    before = [p.detach().clone() for group in made.optimiser.param_groups for p in group["params"]]
    made.step_with(made.whole_prompts)
    after = [p for group in made.optimiser.param_groups for p in group["params"]]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_text_is_held_to_all_positions(make_config, tmp_path):
    config = make_config(text={"preset": "tiny", "batch": 2, "identities": 3})
    (run,) = parts_of("text", config, tmp_path).values()
    ours, whole, every = run()
    assert (ours.gain is not None, whole.gain is not None, every.gain) == (True, True, None)


def test_the_least_cosine():
    rows = np.eye(2, dtype=np.float32)
    turned = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    assert least_cosine(turned, rows) == pytest.approx(0.8)


def test_unknown_stages(make_config, tmp_path):
    assert set(QUICK) < set(STAGES)
    with pytest.raises(ValueError, match="unknown stage"):
        parts_of("nothing", make_config(), tmp_path)
