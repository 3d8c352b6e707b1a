import json
import re

import pytest
from PIL import Image

from tapetum.data.corruptions import CORRUPTIONS, corruption_names
from tapetum.evaluation.robustness import Robustness
from tapetum.robustness import RobustnessPlan, measure_robustness


@pytest.fixture
def evaluate(ask, run, data):
    """`evaluate` of the run on its data set."""
    return lambda *options: ask("evaluate", run, "--data", data, *options)


def test_scores_on_corrupted_pictures(evaluate, run, data, tmp_path):
    options = ["--corrupt", "jpeg, gain-noise", "--severity", "5,1", "--seed", 2]
    found = evaluate(*options, "--json", tmp_path / "r.json", "--report", tmp_path / "r.html")
    assert found.code == 0, found.err
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["severities"] == [1, 5]
    assert (content["side"], content["seed"], content["protocol"]) == ("both", 2, "hitsz-vcm")
    assert list(content["directions"]) == ["I2V", "V2I"]
    assert list(content["directions"]["V2I"]["corruptions"]) == ["jpeg", "gain-noise"]
    assert content["levels"]["jpeg"] == {"1": 40, "5": 4}
    lines = {line.split()[0]: line.split() for line in found.out.splitlines() if line.strip()}
    clean = content["directions"]["I2V"]["clean"]
    assert lines["clean"][1:3] == [f"{100 * clean[name]:.1f}" for name in ("mean_ap", "rank_1")]
    own = content["directions"]["I2V"]["corruptions"]["jpeg"]
    assert lines["jpeg"][1:3] == [f"{100 * own['mean_ap']:.1f}", f"{100 * own['drop']['mean_ap']:.1f}"]
    page = (tmp_path / "r.html").read_text()
    assert "Robustness: small-cnn on hitsz-vcm" in page
    assert "Synthetic walkers" in page
    assert f"{tmp_path / 'r.html'}: tables and pictures" in found.out


def test_figures_are_those_of_the_python_call(evaluate, run, data, tmp_path):
    import tapetum
    from tapetum.data.corruptions import find_corruption
    from tapetum.data.datasets import read_dataset

    assert evaluate("--corrupt", "fog", "--severity", 3, "--json", tmp_path / "r.json").code == 0
    plan = RobustnessPlan("hitsz-vcm", (find_corruption("fog"),), (3,))
    dataset = read_dataset(data)
    measured = measure_robustness(tapetum.load(run), dataset.test, plan, root=dataset.root)
    expected = json.loads(json.dumps(Robustness.of([measured], "both").to_json()))
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["directions"] == expected["directions"]


def test_cells_are_kept_and_read_again(evaluate, tmp_path):
    options = ["--corrupt", "contrast", "--severity", "1,5", "--out", tmp_path / "cells"]
    first = evaluate(*options)
    kept = sorted((tmp_path / "cells").iterdir())
    assert [re.sub(r"-\w+\.json$", "", path.name) for path in kept] == ["clean-0", "contrast-1", "contrast-5"]
    times = [path.stat().st_mtime_ns for path in kept]
    again = evaluate(*options)
    assert (first.code, again.code, first.out) == (0, 0, again.out)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert evaluate(*options, "--corrupt-side", "query").code == 0
    assert len(list((tmp_path / "cells").iterdir())) == 5  # the clean cell is the same


def test_of_all_those_that_would_change_nothing_are_left_out(evaluate, tmp_path):
    options = [
        "--corrupt",
        "all",
        "--severity",
        5,
        "--corrupt-side",
        "visible",
        "--json",
        tmp_path / "r.json",
    ]
    found = evaluate(*options)
    assert found.code == 0
    sensor = "fixed-pattern-noise, lamp-vignette, lamp-hot-spot, gain-noise"
    assert f"left out, for they would change no picture: {sensor}" in found.err.replace("\n", " ")
    names = list(json.loads((tmp_path / "r.json").read_text())["directions"]["I2V"]["corruptions"])
    assert names == [name for name in corruption_names() if name not in sensor]
    refused = evaluate("--corrupt", "gain-noise", "--corrupt-side", "visible")
    assert (refused.code, "gain-noise happens to infrared pictures only" in refused.err) == (1, True)


def test_several_runs_are_averaged(ask, run, other_run, data, tmp_path):
    def mean_ap(*runs):
        command = ["evaluate", *runs, "--data", data, "--corrupt", "fog", "--severity", 5]
        assert ask(*command, "--json", tmp_path / "r.json").code == 0
        content = json.loads((tmp_path / "r.json").read_text())
        return content["directions"]["I2V"]["corruptions"]["fog"]["mean_ap"]

    assert mean_ap(run, other_run) == pytest.approx((mean_ap(run) + mean_ap(other_run)) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--corrupt", "fgo"], "unknown corruption 'fgo'; did you mean 'fog'"),
        (["--corrupt", "fog,,jpeg"], "unknown corruption ''"),
        (["--corrupt", "fog,fog"], "each corruption can be listed once"),
        (["--corrupt", "fog", "--severity", "6"], "severity 6; expected 1 to 5"),
        (["--corrupt", "fog", "--severity", "0"], "severity 0; expected 1 to 5 (clean pictures"),
        (["--corrupt", "fog", "--severity", "mild"], "--severity 'mild': expected all, or numbers such as"),
        (["--corrupt", "fog", "--severity", "1,1"], "each severity can be listed once, found 1, 1"),
        (["--corrupt", "fog", "--confidence", 10], "--confidence does not go with --corrupt"),
        (["--corrupt", "fog", "--per-query", "q.parquet"], "--per-query does not go with --corrupt"),
        (["--severity", "1"], "--severity acts only with --corrupt"),
        (["--corrupt-side", "query"], "--corrupt-side acts only with --corrupt"),
        (["--out", "cells"], "--out acts only with --corrupt"),
        (["--report", "r.html"], "--report acts only with --corrupt"),
        (["--corrupt", "fog", "--report", "none/r.html"], "none/r.html: its folder does not exist"),
        (["--corrupt", "fog", "--protocol", "hitsz"], "'hitsz-vcm'"),
    ],
)
def test_what_is_refused_before_any_work(evaluate, options, message):
    refused = evaluate(*options)
    assert refused.code == 1
    assert message in refused.err


def test_what_has_no_pixels_is_refused(ask, run, embeddings, tmp_path):
    refused = ask("evaluate", embeddings, "--corrupt", "fog")
    assert (refused.code, f"{embeddings} holds embeddings, and those have no pixels" in refused.err) == (
        1,
        True,
    )
    refused = ask("evaluate", run, "--corrupt", "fog")
    assert (refused.code, "--data FORMAT:ROOT is needed" in refused.err) == (1, True)
    (tmp_path / "file").write_text("")
    refused = ask("evaluate", run, "--data", "hitsz-vcm:x", "--corrupt", "fog", "--out", tmp_path / "file")
    assert (refused.code, "is a file; expected a folder" in refused.err) == (1, True)


def test_corruptions_are_listed(ask):
    rows = ask("corruptions", "--json").json
    assert [row["name"] for row in rows] == corruption_names()
    by_name = {row["name"]: row for row in rows}
    assert by_name["saturation"]["modalities"] == ["visible"]
    assert by_name["fog"]["modalities"] == ["visible", "infrared"]
    assert by_name["jpeg"]["levels"] == [40, 22, 13, 8, 4]
    shown = ask("corruptions").out
    assert all(name in shown for name in corruption_names())


def test_corruptions_are_drawn_on_a_sheet(ask, data, tmp_path):
    sheet = tmp_path / "sheet.jpg"
    drawn = ask("corruptions", "--data", data, "--picture", sheet, "--severity", 4)
    assert (drawn.code, drawn.out) == (0, f"{sheet}: {len(CORRUPTIONS)} corruptions at severity 4\n")
    with Image.open(sheet) as picture:
        assert (picture.format, picture.width > 500) == ("JPEG", True)
    refused = ask("corruptions", "--data", data)
    assert (refused.code, "both --data FORMAT:ROOT and --picture FILE" in refused.err) == (1, True)
    refused = ask("corruptions", "--data", data, "--picture", sheet, "--severity", 7)
    assert (refused.code, "severity 7; expected 1 to 5" in refused.err) == (1, True)
