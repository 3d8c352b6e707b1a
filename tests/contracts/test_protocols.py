"""What every protocol of the registry answers."""

import pytest

from tapetum.evaluation import Protocol, create_protocol, protocol_names
from tapetum.types import TrackletSet


@pytest.mark.parametrize("name", protocol_names())
def test_protocol_is_found_by_its_name(name):
    protocol = create_protocol(name)
    assert isinstance(protocol, Protocol)
    assert protocol.name == name


@pytest.mark.parametrize("name", protocol_names())
def test_protocol_refuses_nothing_at_all(name):
    with pytest.raises(ValueError, match=name):
        create_protocol(name).trials(TrackletSet("nothing", ()))


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="did you mean 'hitsz-vcm'"):
        create_protocol("hitsz_vcm")
    assert "hitsz-vcm" in protocol_names()
