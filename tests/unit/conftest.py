import pytest


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
