import csv
import io

from tapetum.search.query import Filter, Hit, SearchResult
from tapetum.server.asking import Answer, Ask, ServiceInfo
from tapetum.server.page.case_files import case_facts, case_table
from tapetum.server.page.cases import Case
from tapetum.server.page.forms import SearchForm
from tapetum.server.users import Role, User
from tapetum.types import Modality, Tracklet

ANNA, BERT = User("anna", Role.OPERATOR), User("bert", Role.ADMIN)
INFO = ServiceInfo("1.2", "lancedb", 9, {}, 0, None, None, True, None, "m", 8, "", True, True, False, False)


def case(*hits, least=None, where=None):
    result = SearchResult(hits, False, 9, recall=0.97, min_probability=least)
    form = SearchForm(item_id="q", min_probability=least, reason="case 7", wrong=("w",))
    ask = Ask(item_id="q", filters=where or Filter())
    return Case(
        form, ask, Answer(result, Modality.VISIBLE, result.manner, 1.0), ANNA, INFO, asked_at=1_772_000_000.0
    )


def test_cells_are_no_formulas():
    found = Tracklet("=HYPERLINK(1)", (), Modality.INFRARED, "@p", "+cam", -5.0)
    (row,) = csv.DictReader(io.StringIO(case_table(case(Hit(found, 0.25, 1, 0.5))).decode()))
    assert (row["tracklet_id"], row["person_id"], row["camera_id"]) == ("'=HYPERLINK(1)", "'@p", "'+cam")
    assert (row["time_s"], row["time_utc"]) == ("-5.0", "")
    assert (row["similarity"], row["probability"], row["modality"]) == ("0.250000", "0.5", "infrared")


def test_facts_say_who_when_why_and_how():
    where = Filter(modality="infrared", cameras=[1, 2], before=1_772_000_000.0)
    facts = dict(case_facts(case(least=0.8, where=where), by=BERT, at=1_772_003_600.0))
    assert facts["Asked by"] == "anna (operator)"
    assert facts["Asked at"] == "2026-02-25 06:13:20 UTC"
    assert facts["Exported by"] == "bert (admin)"
    assert facts["Exported at"] == "2026-02-25 07:13:20 UTC"
    assert facts["Reason"] == "case 7"
    assert facts["Searched by"] == "tracklet q of the gallery"
    assert (facts["Only seen in"], facts["Only cameras"]) == ("infrared", "1, 2")
    assert facts["Until, not included"] == "2026-02-25 06:13:20 UTC"
    assert facts["Manner"].startswith("approximate, recall 0.97; 9 tracklets searched")
    assert facts["Marked wrong"] == "w"
    assert facts["Cut"] == "unknown below 80 %"
    assert facts["Answer"].startswith("unknown")
    assert (facts["Model"], facts["Gallery"]) == ("m", "9 tracklets, lancedb")
    assert facts["Figures"] == "calibrated probabilities"


def test_without_filters_it_is_said():
    assert dict(case_facts(case(), by=ANNA, at=0.0))["Filters"].startswith("none")
