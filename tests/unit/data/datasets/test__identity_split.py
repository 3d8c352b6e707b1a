import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapetum.data.datasets._identity_split import check_split, draw_test_people


def test_a_share_of_each_kind_of_person_is_drawn():
    people = list(range(30))
    drawn = draw_test_people(people, set(range(20)), 0.3, seed=1)
    assert len([p for p in drawn if p < 20]) == 6
    assert len([p for p in drawn if p >= 20]) == 3


def test_the_draw_depends_on_seed_and_people_not_on_their_order():
    people = [3, 1, "b", "a", 10]
    drawn = draw_test_people(people, set(people), 0.4, seed=5)
    assert draw_test_people(people[::-1], set(people), 0.4, seed=5) == drawn
    others = {draw_test_people(people, set(people), 0.4, seed=seed) for seed in range(20)}
    assert len(others) > 3


@given(
    people=st.sets(st.integers(-5, 50), max_size=20),
    paired=st.sets(st.integers(-5, 50)),
    share=st.floats(0, 1),
    seed=st.integers(0, 3),
)
def test_someone_is_left_on_either_side(people, paired, share, seed):
    drawn = draw_test_people(tuple(people), paired, share, seed)
    assert drawn <= people
    for group in (people & paired, people - paired):
        tested = len(drawn & group)
        assert abs(tested - share * len(group)) <= 1
        if 0 < share < 1 and len(group) > 1:
            assert 0 < tested < len(group)
        if share in (0, 1):
            assert tested == share * len(group)


@pytest.mark.parametrize(
    ("share", "seed"), [(-0.1, 0), (1.1, 0), (float("nan"), 0), ("half", 0), (0.5, -1), (0.5, 1.5)]
)
def test_what_is_out_of_range_is_refused(share, seed):
    with pytest.raises(ValueError, match=f"{'seed' if seed else 'test_share'} is {seed or share!r}"):
        check_split(share, seed)
