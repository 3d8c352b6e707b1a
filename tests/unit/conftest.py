import importlib.util
from pathlib import Path

import pytest


@pytest.fixture
def storage(monkeypatch):
    """Object storage on this machine, with a bucket named "shed", to which the environment leads."""
    file = Path(__file__).parent / "object_storage_server.py"
    spec = importlib.util.spec_from_file_location("object_storage_server", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.ObjectStorage()
    server.buckets["shed"] = {}
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    yield server
    server.close()


@pytest.fixture(scope="session")
def small_pretraining():
    """Settings of a pretraining of seconds: few people, and towers that hardly deserve the name."""
    return {
        "identities": 6,
        "unseen": 3,
        "views": 1,
        "captions": 2,
        "batch": 3,
        "epochs": 2,
        "height": 32,
        "width": 32,
        "vision_width": 64,
        "vision_layers": 1,
        "stem_channels": [8, 8, 8, 8],
        "text_width": 64,
        "text_layers": 1,
        "joint": 16,
        "precision": "32",
    }
