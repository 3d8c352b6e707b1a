from dataclasses import replace
from pathlib import Path

import pytest

from tapetum.demo import DemoPlan


def test_rows_places_and_walkers():
    plan = DemoPlan(Path("x"), cues="gait", difficulty=0.3)
    assert plan.learnt == ("lsmrl",)
    assert replace(plan, compare=True).learnt == ("lsmrl", "x-reid", "clip-baseline", "small-cnn")
    assert (plan.root, plan.data) == (Path("x/data"), "hitsz-vcm:x/data")
    assert (plan.walkers.cues, plan.walkers.level) == ("gait", 0.3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"minutes": 0}, "minutes is 0; expected more than 0"),
        ({"minutes": -2.5}, "minutes is -2.5"),
        ({"train_identities": 7}, "7 training and 60 test people; expected at least 8 and 2"),
        ({"test_identities": 1}, "300 training and 1 test"),
        ({"difficulty": "harsh"}, "harsh"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(change, message):
    with pytest.raises(ValueError, match=message):
        DemoPlan(Path("x"), **change)
