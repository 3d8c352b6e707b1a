import sys

import pytest

from tapetum.errors import MissingExtraError
from tapetum.scale import extract, read_plan
from tapetum.scale.collecting import results_of


def test_a_missing_package_is_named(planned, model_file, monkeypatch):
    store, _ = planned(2)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"tapetum\[scale\]"):
        extract(store.address, str(model_file), ray="local")


@pytest.fixture
def cluster():
    """A cluster of two small machines, which are processes of this one."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
        shutdown_at_exit=False,
    )
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_shards_are_made_by_a_cluster_and_a_lost_machine_costs_nothing(planned, model_file, cluster):
    store, plan = planned(10, shard_size=1)
    second = cluster.add_node(num_cpus=1)
    lost = []

    def lose_a_machine(report):
        if not lost:
            cluster.remove_node(second, allow_graceful=False)
            lost.append(second)

    report = extract(store.address, str(model_file), ray=cluster.address, workers=2, progress=lose_a_machine)
    assert (report.done, report.failed, report.stopped) == (len(plan.shards), {}, "")
    found = [t.tracklet_id for r in results_of(store, read_plan(store).shards) for t in r.tracklets]
    assert found == [f"c/{n:03}" for n in range(10)]
    again = extract(store.address, str(model_file), ray=cluster.address)
    assert (again.skipped, again.rows) == (len(plan.shards), 10)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_is_named(planned, model_file):
    pytest.importorskip("ray")
    store, _ = planned(2)
    with pytest.raises(ConnectionError, match=r"Ray at '127\.0\.0\.1:9'"):
        extract(store.address, str(model_file), ray="127.0.0.1:9")
