import inspect

import pytest

from tapetum import errors

BUILT_IN = {
    "MissingExtraError": ImportError,
    "GalleryChangedError": RuntimeError,
    "GalleryInUseError": RuntimeError,
    "ProcessLostError": RuntimeError,
}


@pytest.mark.parametrize(
    "kind", [k for _, k in inspect.getmembers(errors, inspect.isclass) if k is not errors.TapetumError]
)
def test_every_error_is_caught_by_the_package_s_and_by_a_built_in_one(kind):
    assert issubclass(kind, errors.TapetumError)
    assert issubclass(kind, BUILT_IN.get(kind.__name__, ValueError))


def test_a_missing_package_says_what_to_type():
    with pytest.raises(
        ImportError, match=r"'lightning-fabric' is not installed; run: pip install 'tapetum\[train\]'"
    ):
        raise errors.MissingExtraError("lightning-fabric", "train")
