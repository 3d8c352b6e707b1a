import json

from tapetum.report.learning import describe_learning

RECORDS = [
    {"step": i, "stage": stage, "losses": {"identity": 3.0 - i}, "lr": 1e-4}
    for stage in ("prompts", "encoder")
    for i in range(3)
]


def test_groups_come_in_order_and_only_with_plots():
    found = describe_learning([*RECORDS, {"step": 2, "stage": "encoder", "validation": {"mAP": 0.5}}])
    assert [g.title for g in found.groups] == ["Losses", "Validation", "Learning rate"]
    assert [g.title for g in describe_learning(RECORDS).groups] == ["Losses", "Learning rate"]
    losses = found.groups[0]
    assert [(p.title, p.note) for p in losses.plots] == [("identity", "3 at step 0, 1 at the end")]
    assert "Stages: prompts from step 0, encoder from step 3" in losses.caption


MONITORS = [
    {
        "kind": "monitor",
        "step": 2,
        "stage": "prompts",
        "monitors": {"top-1/visible": 0.1, "top-1/infrared": 0},
    },
    {"kind": "monitor", "step": 2, "stage": "prompts", "monitors": {"gap": 3.5, "norm/text": 9.0}},
    {"kind": "monitor", "step": 5, "stage": "encoder", "monitors": {"top-1/visible": 0.9, "gap": None}},
]


def test_monitors_have_one_plot_per_group():
    found = describe_learning([*RECORDS, *MONITORS])
    assert [g.title for g in found.groups] == ["Losses", "Monitors", "Learning rate"]
    plots = found.groups[1].plots
    assert [p.title for p in plots] == ["top-1", "gap", "norm, text"]
    assert [(e.label, e.colour) for e in plots[0].legend] == [
        ("visible", "visible"),
        ("infrared", "infrared"),
    ]
    assert plots[0].note == "visible: 0.1 at step 2, 0.9 at the end; infrared: 0 at step 2, 0 at the end"
    assert plots[1].legend == ()
    assert plots[0].svg.count("<path") > plots[1].svg.count("<path")
    assert "top-1 over training steps" in plots[0].svg
    assert found.not_finite == 1


def test_one_stage_is_not_named():
    assert "Stages" not in describe_learning(RECORDS[:3]).groups[0].caption


def test_a_file_says_the_same_as_its_records(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in RECORDS))
    assert describe_learning(path) == describe_learning(RECORDS)


def test_nothing_logged_is_no_section_but_nan_alone_is():
    assert describe_learning(None) is None
    assert describe_learning([{"event": "start"}]) is None
    assert describe_learning([{"step": 0, "losses": {"a": float("nan")}}]).not_finite == 1
