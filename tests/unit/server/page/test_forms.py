import pytest
from starlette.datastructures import FormData

from tapetum.server.page.forms import HEAD, SearchForm, Where, read_page, read_search, read_where
from tapetum.server.refusals import Invalid


def fields(**given):
    pairs = [
        (name, value)
        for name, values in given.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    return FormData(pairs)


def test_all_fields_become_a_question():
    form = read_search(
        fields(
            query_id=["a", "b", "a", ""],
            modality="infrared",
            cameras=["1", "yard"],
            after="10",
            before="20.5",
            top="50",
            rerank="1",
            group="person",
            min_probability="80 %",
            prior="2.5",
            right="x",
            wrong=["y", "z"],
            reason="  case 7 ",
        )
    )
    ask = form.ask()
    assert ask.query_ids == ("a", "b")
    assert ask.item_id is None
    assert (ask.filters.modality, ask.filters.cameras) == ("infrared", frozenset({"1", "yard"}))
    assert (ask.filters.after, ask.filters.before) == (10.0, 20.5)
    assert (ask.top, ask.rerank_head, ask.group) == (50, HEAD, "person")
    assert (ask.min_probability, ask.prior) == pytest.approx((0.8, 0.025))
    assert (ask.right, ask.wrong, ask.reason) == (("x",), ("y", "z"), "case 7")


def test_nothing_filled_in_is_the_default_of_each():
    assert read_search(fields(top="", after="", cameras="")) == SearchForm()
    with pytest.raises(Invalid, match="choose what to look for"):
        SearchForm().ask()


def test_conditions_come_back_from_their_address():
    where = Where("visible", ("1", "a b"), ("3",), 0.1, 1_772_000_000.0)
    assert read_where(FormData(where.fields())) == where
    assert where
    assert not Where()


def test_pictures_stand_before_an_item():
    assert SearchForm(query_ids=("a",), item_id="t").ask().item_id is None
    assert read_search(fields(query_id="a", from_hit="t", wrong="x")).ask().item_id == "t"


@pytest.mark.parametrize(
    "given",
    [{"top": "1.5"}, {"prior": "0"}, {"prior": "100"}, {"prior": "nan"}, {"after": "nan"}, {"group": "hat"}],
)
def test_values_that_do_not_fit_are_named(given):
    with pytest.raises(Invalid) as refused:
        read_search(fields(**given))
    assert refused.value.field == next(iter(given))


def test_times_that_end_before_they_start_are_refused():
    with pytest.raises(Invalid, match="earlier"):
        read_search(fields(item_id="t", after="9", before="1")).ask()


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 30])
def test_pages_are_counted_from_one(page):
    with pytest.raises(Invalid):
        read_page(fields(page=page))
