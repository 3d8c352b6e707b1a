import pytest

from tapetum.data.corruptions import CORRUPTIONS, find_corruption
from tapetum.robustness import RobustnessPlan


def test_all_corruptions_at_all_severities_are_the_default():
    plan = RobustnessPlan("manifest")
    assert len(plan.cells) == 1 + 5 * len(CORRUPTIONS)
    assert plan.cells[:3] == [("clean", 0), ("gaussian-noise", 1), ("gaussian-noise", 2)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corruptions": ()}, "at least one corruption"),
        ({"severities": ()}, "at least one severity"),
        ({"severities": (1, 6)}, r"severity 6; expected 1 to 5 \(clean pictures"),
        ({"severities": (0,)}, "severity 0; expected 1 to 5"),
        ({"severities": (2, 1, 2)}, "each severity can be listed once, found 2, 1, 2"),
        (
            {"corruptions": (find_corruption("fog"),) * 2},
            "each corruption can be listed once, found fog, fog",
        ),
        ({"side": "querry"}, "unknown side 'querry'; did you mean 'query'"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RobustnessPlan("manifest", **options)
