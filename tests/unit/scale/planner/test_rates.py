import json

import pytest

from tapetum.errors import DataError
from tapetum.methods import create_method
from tapetum.model import Model
from tapetum.scale import extract
from tapetum.scale.planner import check_extraction, load_rates, measure_rates, save_rates


@pytest.fixture(scope="module")
def rates(tmp_path_factory):
    """Rates of a tiny model, measured as shortly as can be."""
    method = create_method(
        "small-cnn", num_identities=2, num_cameras=1, preset="tiny", height=32, width=16, frames=2
    )
    folder = tmp_path_factory.mktemp("rates")
    return measure_rates(Model(method.eval(), "f", folder), seconds=0.0, batch_size=2, folder=folder)


def test_measured_rates_are_written_and_read(rates, tmp_path):
    of = rates.models["small-cnn"]
    assert (of.height, of.width, of.clip_frames, of.dimension, of.device) == (32, 16, 2, 512, "cpu")
    assert of.flop_per_frame > 1e5
    assert of.weight_bytes > 4 * 100_000
    assert min(rates.pictures_per_s, rates.written_per_s, rates.scanned_per_s, rates.loaded_per_s) > 0
    assert load_rates(save_rates(rates, tmp_path / "rates.json")) == rates


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"format_version": 2},
        {"models": []},
        {"processors": None, "speed": 1},
        {"pictures_per_s": 0},
    ],
)
def test_other_files_are_refused(rates, tmp_path, change):
    file = save_rates(rates, tmp_path / "rates.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(DataError, match=r"rates\.json"):
        load_rates(file)


def test_an_extraction_is_compared_with_its_estimate(rates, planned, model_file):
    store, _ = planned(4)
    with pytest.raises(ValueError, match="no shard is finished"):
        check_extraction(store, rates)
    extract(store.address, str(model_file))
    encoding, whole = check_extraction(store, rates)
    assert encoding.estimated == pytest.approx(8 / rates.models["small-cnn"].frames_per_s)
    assert whole.estimated == pytest.approx(encoding.estimated + 8 / rates.pictures_per_s)
    assert 0 < encoding.found < whole.found
    assert whole.ratio == pytest.approx(whole.found / whole.estimated)
