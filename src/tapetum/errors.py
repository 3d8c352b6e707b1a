"""The few errors a caller may want to catch; everything else raises built-in types with a full message."""


class TapetumError(Exception):
    """Base of every error that this package defines."""


class ConfigError(TapetumError, ValueError):
    """A configuration has an unknown key or a value out of range; the message names it and what fits."""


class DataError(TapetumError, ValueError):
    """A data set, tracklet or frame is not as its format says; the message names file, value and rule."""


class CheckpointError(TapetumError, ValueError):
    """A weight or checkpoint file does not fit: another architecture, a missing or an unexpected tensor."""


class ModelMismatchError(TapetumError, ValueError):
    """Embeddings of one model were given where those of another are stored."""


class NoMatchError(TapetumError, ValueError):
    """No query has a true match in the gallery, so there is nothing to average."""


class CalibrationError(TapetumError, ValueError):
    """Distances cannot be turned into probabilities: too few people or pairs, or nothing told by them."""


class GalleryChangedError(TapetumError, RuntimeError):
    """Another process changed a gallery since it was opened; nothing was written."""


class GalleryInUseError(TapetumError, RuntimeError):
    """Another process has a gallery open that only one can open at a time; nothing was changed."""


class GalleryVersionError(DataError):
    """A gallery was written by a newer version of this package; nothing was changed."""


class ExportedModelError(TapetumError, AttributeError, ValueError):
    """An exported model was asked for what only its run can do; the message says what."""


class ExportParityError(TapetumError, ValueError):
    """An exported model does not give the embeddings of its run; no file was written."""


class ProcessLostError(TapetumError, RuntimeError):
    """A process of a run with several ended or fell silent; the message says which, and how to go on."""


class MissingExtraError(TapetumError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package!r} is not installed; run: pip install 'tapetum[{extra}]'")
