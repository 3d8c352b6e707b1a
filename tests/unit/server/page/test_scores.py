import pytest

from tapetum.search.query import Hit
from tapetum.server.page.scores import Shown
from tapetum.types import Modality, Tracklet

FOUND = Tracklet("t", (), Modality.VISIBLE)


@pytest.mark.parametrize(
    ("similarity", "probability", "share", "name", "text"),
    [
        (0.871, None, 0.871, "Similarity", "0.871"),
        (-0.2, None, 0.0, "Similarity", "-0.200"),
        (0.4, 0.93, 0.93, "Probability", "93 %"),
        (0.4, 0.0, 0.0, "Probability", "0 %"),
        (0.4, 0.99999, 0.99999, "Probability", "> 99.9 %"),
    ],
)
def test_a_similarity_is_never_called_a_probability(similarity, probability, share, name, text):
    shown = Shown(Hit(FOUND, similarity, 1, probability), None, is_below=False, is_wrong=False)
    assert (shown.share, shown.score_name, shown.score_text) == (share, name, text)
