import dataclasses

import pytest

from tapetum.search.query import Group, Hit, SearchResult
from tapetum.server.asking import Answer, Ask, ServiceInfo
from tapetum.server.page.cases import Case, CaseBook
from tapetum.server.page.forms import SearchForm
from tapetum.server.refusals import NotFound
from tapetum.server.users import Role, User
from tapetum.types import Modality, Tracklet

ANNA, BERT = User("anna", Role.OPERATOR), User("bert", Role.OPERATOR)


def case(by=ANNA):
    hits = tuple(Hit(Tracklet(f"t{n}", (), Modality.VISIBLE), 0.5, n + 1) for n in range(3))
    result = SearchResult(hits, True, 3, groups=tuple(Group(n, 1) for n in range(3)))
    info = ServiceInfo("1", "memory", 3, {}, 0, None, None, True, None, "m", 8, "", True, False, False, False)
    form = SearchForm(item_id="q", right=("t0", "far"), wrong=("t9",))
    return Case(form, Ask(), Answer(result, Modality.VISIBLE, "exact", 1.0), by, info)


def test_a_case_is_found_by_its_owner_alone():
    book, kept = CaseBook(), case()
    book.add(kept)
    assert book.get(kept.case_id, ANNA) == kept
    for name, user in ((kept.case_id, BERT), ("none", ANNA)):
        with pytest.raises(NotFound):
            book.get(name, user)


def test_the_oldest_makes_room_among_its_owners_own():
    book = CaseBook(most=2)
    first, *others = cases = [case() for _ in range(3)]
    foreign = case(BERT)
    for each in (foreign, *cases):
        book.add(each)
    with pytest.raises(NotFound):
        book.get(first.case_id, ANNA)
    assert [book.get(each.case_id, ANNA) for each in others] == others
    assert book.get(foreign.case_id, BERT) == foreign


def test_cases_are_forgotten_in_time():
    now = [0.0]
    book, kept = CaseBook(ttl_s=10, clock=lambda: now[0]), case()
    book.add(kept)
    now[0] = 9.9
    assert book.get(kept.case_id, ANNA) is kept
    now[0] = 10.0
    with pytest.raises(NotFound):
        book.get(kept.case_id, ANNA)


def test_what_is_gone_leaves_hits_groups_and_marks():
    kept = case()
    assert kept.shown_ids == ("q", "t0", "t1", "t2", "far", "t9")
    assert kept.without(frozenset()) is kept
    left = kept.without({"q", "t0", "t9"})
    assert [hit.rank for hit in left.answer.result] == [2, 3]
    assert [group.key for group in left.answer.result.groups] == [1, 2]
    assert (left.form.item_id, left.form.right, left.form.wrong) == ("", ("far",), ())
    assert dataclasses.replace(left, form=kept.form, answer=kept.answer) == kept
