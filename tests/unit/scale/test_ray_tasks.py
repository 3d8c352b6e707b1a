import signal
import sys

import pytest

from tapetum.errors import MissingExtraError
from tapetum.scale import extract, read_plan
from tapetum.scale.collecting import results_of

LONGEST_S = 240
"""A cluster starts several processes that each load much; on an idle machine it takes a tenth of this."""


def test_a_missing_package_is_named(planned, model_file, monkeypatch):
    store, _ = planned(2)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"tapetum\[scale\]"):
        extract(store.address, str(model_file), ray="local")


def test_a_cluster_that_is_not_there_is_named(planned, model_file):
    pytest.importorskip("ray")
    store, _ = planned(2)
    with pytest.raises(ConnectionError, match=r"Ray at '127\.0\.0\.1:9': nobody answers"):
        extract(store.address, str(model_file), ray="127.0.0.1:9")


@pytest.fixture
def cluster():
    """A cluster of three small machines, which are processes of this one."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    former = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(LONGEST_S)
    head = {"num_cpus": 1, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head, shutdown_at_exit=False)
    try:
        made.add_node(num_cpus=1)
        yield made
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
        made.shutdown()


def _too_long(number, frame):
    raise TimeoutError(f"the cluster took more than {LONGEST_S} s")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_shards_are_made_by_a_cluster_and_a_lost_machine_costs_nothing(planned, model_file, cluster):
    store, plan = planned(8, shard_size=1)
    third = cluster.add_node(num_cpus=1)
    lost = []

    def lose_a_machine(report):
        if not lost:
            cluster.remove_node(third, allow_graceful=False)
            lost.append(third)

    report = extract(store.address, str(model_file), ray=cluster.address, workers=3, progress=lose_a_machine)
    assert (report.done, report.failed, report.stopped) == (len(plan.shards), {}, "")
    found = [t.tracklet_id for r in results_of(store, read_plan(store).shards) for t in r.tracklets]
    assert found == [f"c/{n:03}" for n in range(8)]
