"""What every method answers to: build from a config, train in stages, turn clips into embeddings.

The training loop knows stages and no method; a method knows nothing of the loop.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tapetum import processes
from tapetum.config import ADDED_LATER, Config, build_config
from tapetum.registry import load, names
from tapetum.types import Batch, Id, Modality, Preprocessing

_PACKAGE = "tapetum.methods"


class BatchConfig(Config):
    """The batches a stage needs: P identities x K tracklets per modality x T frames."""

    identities: int = Field(4, ge=1, description="P, identities in a batch")
    tracklets: int = Field(4, ge=1, description="K, tracklets per identity and modality")
    modality: Literal["both", "visible", "infrared"] = Field(
        "both",
        description="both: P x K visible rows, then P x K infrared ones; else P x K rows of the one modality",
        json_schema_extra=ADDED_LATER,
    )
    frame_sampling: Literal["chunk-random", "window"] = Field(
        "chunk-random",
        description="training frames: one per chunk, or T consecutive ones from a random start",
    )


class AugmentConfig(Config):
    """Training augmentation; `sync` draws crop, flip and channel choice once per tracklet."""

    pad: int = Field(10, ge=0, description="pixels of zero padding before the random crop")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    erase: float = Field(0.5, ge=0, le=1, description="probability of random erasing, per frame")
    erase_area: tuple[float, float] = Field(
        (0.02, 0.4), description="smallest and largest share of the frame that is erased"
    )
    erase_colour: Literal["mean", "random"] = Field(
        "mean", description="of the erased box: near the mean of natural images, or drawn anew for each"
    )
    channels: bool = Field(True, description="channel augmentation: copy one channel into all three, or grey")
    exchanged_view: bool = Field(
        False,
        description="append a second view of each visible clip, augmented anew, with a random channel copied "
        "into all three always (CAJ); first views then keep their colours, infrared is as `channels` says",
        json_schema_extra=ADDED_LATER,
    )
    sync: bool = Field(
        True, description="draw crop, flip and channels once per tracklet instead of per frame"
    )


class ScheduleConfig(Config):
    """Length and learning rate of a stage: linear warm-up, then cosine or steps; per epoch or per step."""

    epochs: int = Field(24, ge=1)
    steps_per_epoch: Annotated[int, Field(ge=1)] | Literal["from-data"] = Field(
        200,
        description="from-data: tracklets of the modality that has more, divided by P x K, rounded down, at "
        "least 1",
    )
    warmup_epochs: float = Field(3, ge=0)
    warmup_start: float = Field(0.01, gt=0, le=1, description="factor of the base rate at the first step")
    final: float = Field(
        0.01, ge=0, le=1, description="factor of the base rate at the end, without milestones"
    )
    per_step: bool = Field(False, description="update the rate every step instead of every epoch")
    milestones: tuple[float, ...] | None = Field(
        None, description="epochs from which the rate is `decay` times lower; None: it falls as `fall` says"
    )
    fall: Literal["cosine", "linear"] = Field(
        "cosine",
        description="how the rate comes to `final`: as a cosine, or from the warm-up on in a straight line",
        json_schema_extra=ADDED_LATER,
    )
    decay: float = Field(0.1, gt=0, le=1, description="factor of the rate at each milestone")

    @property
    def epoch_steps(self) -> int:
        """Steps of an epoch as a number, once it is known.

        Raises:
            ValueError: They follow from the data, and no training set has been asked yet.
        """
        if self.steps_per_epoch == "from-data":
            raise ValueError("steps_per_epoch = 'from-data': the training set says how many these are")
        return self.steps_per_epoch


class OptimConfig(Config):
    """Optimiser of a stage."""

    algorithm: Literal["adamw", "adam", "sgd"] = Field(
        "adamw",
        description="adam, sgd: weight decay is part of the gradient (L2), as in torch.optim.Adam and SGD",
    )
    lr: float = Field(2.5e-5, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    betas: tuple[float, float] = Field((0.9, 0.999), description="of adamw and adam")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd", json_schema_extra=ADDED_LATER)
    nesterov: bool = Field(
        True, description="of sgd: look ahead along the momentum", json_schema_extra=ADDED_LATER
    )
    grad_clip: float | None = Field(None, gt=0, description="largest total gradient norm; None: no clipping")

    @model_validator(mode="after")
    def _check_nesterov(self) -> OptimConfig:
        if self.algorithm == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("nesterov looks ahead along a momentum: set momentum above 0, or nesterov=false")
        return self


class MethodConfig(Config):
    """What every method's configuration has; a method adds its own fields."""

    height: int = Field(288, ge=16)
    width: int = Field(144, ge=8)
    frames: int = Field(6, ge=1, description="T, frames a clip")
    test_sampling: Literal["chunk-first", "uniform", "dense"] = "chunk-first"
    weights: str = Field(
        "none", description="'none', 'stand-in' (the tiny CLIP shipped with the package), or a weight file"
    )


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that share a learning rate and weight decay."""

    name: str
    parameters: list[nn.Parameter]
    lr: float
    weight_decay: float


def _record_nowhere(values: Mapping[str, float]) -> None:
    """Where no run is under way, nothing is written."""


@dataclass(slots=True)
class StageContext:
    """What hooks may use: the run's seed and one pass over the training set (nothing of the test set).

    Attributes:
        seed: The run's seed.
        iterate_training_set: Starts a pass over the training set: every training tracklet once, in a fixed
            order that is the same on every rank, with test sampling, not augmented, normalised, on the
            stage's device. With `share=` below 1, that share of the tracklets of each identity and modality
            (at least one) and no other is read; with `turn=(i, n)` of each n batches the i-th alone. None
            where no training set is at hand. Hooks go by `training_pass`.
        label_ids: Person of each training label, for messages; empty where unknown.
        state: Tensors that a hook or a step wants to keep from one call to the next, for the length of the
            stage. They are saved with each checkpoint; what a stage changes while it trains must lie here or
            in the method's buffers, or a resumed run would not go on as the uninterrupted one.
        resumed: True in `before_stage` when training goes on inside the stage: `state` and the method are as
            they were at the checkpoint, so reuse what is there. The hook before the current epoch is not
            called again.
        record: Writes named figures to the run's log, with stage and epoch, such as
            `context.record({"text-to-image top-1/visible": 0.8})`: "group/name", one picture per group in
            the report. For figures that a hook computes now and then; `Stage.monitors` is for those of a
            step. A hook may call it freely: what was written before a run was stopped is not written twice,
            nor what a hook says while its effects will be undone.
    """

    seed: int = 0
    iterate_training_set: Callable[..., Iterator[Batch]] | None = None
    label_ids: Sequence[Id] = ()
    state: dict[str, Tensor] = field(default_factory=dict)
    resumed: bool = False
    record: Callable[[Mapping[str, float]], None] = _record_nowhere

    @property
    def is_recorded(self) -> bool:
        """Whether anybody reads what `record` is told; if not, a hook may spare itself the measurement."""
        return self.record is not _record_nowhere

    def training_pass(self, share: float = 1.0) -> Iterator[Batch]:
        """One pass over the training set; processes that train together take its batches in turns.

        What each makes of its batches is put together by `processes.join_turns`. The hook itself chooses
        evaluation mode and switches gradients off.

        Args:
            share: Of the tracklets of each identity and modality, at least one.

        Raises:
            RuntimeError: No training set is at hand.
        """
        if self.iterate_training_set is None:
            raise RuntimeError("the stage reads the training set, which the context lacks")
        asked: dict[str, Any] = {"share": share} if share < 1 else {}
        if processes.count() > 1:
            asked["turn"] = (processes.rank(), processes.count())
        return self.iterate_training_set(**asked)


class Stage(ABC):
    """One stage of training: which parameters learn, from which batches, by which losses."""

    name: ClassVar[str] = "train"
    reads_frames: ClassVar[bool] = True
    """False: `step` uses `batch.seed` alone (it learns from features cached in `before_stage`), so the loop
    need not read images and may pass a batch without rows."""
    takes_views: ClassVar[bool] = False
    """True: `step` reads `batch.views` (or no order of rows at all), so `augment.exchanged_view` may be set.
    A stage that pairs the rows of two halves would pair the wrong ones, so the others are refused."""
    takes_modalities: ClassVar[tuple[str, ...]] = ("both",)
    """What `batches.modality` may be, for the same reason."""
    settings: ClassVar[tuple[str, ...]] = ()
    """Keys of the method's configuration that act in this stage and in no other, with all below them, such as
    ("schedule", "loss.msel"). Training may begin at a stage with what another run learnt before it: then the
    settings of this stage and of those to come may differ from that run's, all others must agree."""
    batches: BatchConfig
    augment: AugmentConfig
    schedule: ScheduleConfig
    optim: OptimConfig
    loss_weights: Mapping[str, float]
    """Weight of each named loss in the sum that is minimised; a loss without an entry counts 1."""

    @abstractmethod
    def parameter_groups(self) -> list[ParameterGroup]:
        """The parameters that train, disjoint groups; everything else stays as it is."""

    @abstractmethod
    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Named losses, each a scalar float32, of a batch with normalised clips (see `Batch`).

        Several processes that train together have a share of the batch each, whole people: what compares
        rows, and what is kept of them, works on `processes.gather`ed features. Norms of maps before that are
        `MapNorm`s.
        """

    def check(self, batch: Batch) -> None:  # noqa: B027
        """Hook: refuse a batch that `step` could not use, on the host, before it moves to its device.

        Raises:
            DataError: Such a batch; the message names rows and labels.
        """

    def before_stage(self, context: StageContext) -> None:  # noqa: B027
        """Hook: once before the first step of the stage (cache features, fill memories)."""

    def before_epoch(self, epoch: int, context: StageContext) -> None:  # noqa: B027
        """Hook: before each epoch, counted from 0 (rebuild prototypes)."""

    def after_epoch(self, epoch: int, context: StageContext) -> None:  # noqa: B027
        """Hook: after each epoch's last step, before what is validated and saved there (measure, record).

        The last epoch may have fewer steps than the others. What is changed here trains on.
        """

    def after_stage(self, context: StageContext) -> None:  # noqa: B027
        """Hook: after the last step, before the checkpoint (rebuild buffers that `encode` reads).

        Called before a validation inside the stage too; what it changes there is undone.
        """

    def monitors(self) -> dict[str, Tensor]:
        """Scalars of the last step to log beside its losses, by "group/name"; no part of the sum.

        Asked for when a line of the log is due, and fetched with the losses at once: keep them on the device,
        detached. Several processes average them.
        """
        return {}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is minimised."""
        terms = [self.loss_weights.get(name, 1.0) * value for name, value in losses.items()]
        return torch.stack(terms).sum()


class Method(nn.Module, ABC):
    """A published method or a baseline: its network, its stages, and `encode`.

    Attributes:
        camera_ids: The data set's camera behind each training camera index; 0, 1, ... until training or a
            file says otherwise.
    """

    name: ClassVar[str]
    config_type: ClassVar[type[MethodConfig]] = MethodConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}}
    """Changes to the config's defaults by preset name; "paper" holds the published values."""
    mirror: ClassVar[Literal["add", "append"]] = "add"
    """What becomes of the embedding of a clip's mirror image where it is asked for: added to the clip's own,
    or appended, so that clips are compared with clips and mirror images with mirror images."""

    def __init__(self, config: MethodConfig, num_identities: int, num_cameras: int) -> None:
        super().__init__()
        self.config = config
        self.num_identities = num_identities
        self.num_cameras = num_cameras
        self.camera_ids: tuple[Id, ...] = tuple(range(num_cameras))

    @property
    def reads_cameras(self) -> bool:
        """Whether embeddings depend on the camera, so that training needs to know each tracklet's."""
        return False

    @property
    def reads_modality(self) -> bool:
        """Whether embeddings depend on the modality that a clip is said to be of."""
        return False

    @property
    def mixes_frames(self) -> bool:
        """Whether frames meet before they are averaged: an exported graph then takes clips of one length."""
        return False

    @property
    def training_parts(self) -> tuple[str, ...]:
        """Modules that nothing but training needs, by name: checkpoints hold them, model files do not."""
        return ()

    def drop_training_parts(self) -> None:
        """Delete the modules of `training_parts`; `encode` gives what it gave, training is over."""
        for name in self.training_parts:
            owner, _, leaf = name.rpartition(".")
            delattr(self.get_submodule(owner), leaf)

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network expects of its input."""
        return Preprocessing(self.config.height, self.config.width, self.config.frames)

    @property
    @abstractmethod
    def embedding_dim(self) -> int:
        """D, length of an embedding."""

    @abstractmethod
    def stages(self) -> list[Stage]:
        """The stages of training in order; empty for a method that is not learnt."""

    @abstractmethod
    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings of clips: float32 `[B, D]`, L2-normalised; row i depends on clip i alone.

        Args:
            clips: `[B, T, 3, H, W]` float, normalised as `preprocessing` says.
            modality: One for all clips or one per clip; None where unknown.
            camera_ids: Camera of each clip as in the data set; None where unknown.
        """

    def encode_rows(
        self, clips: Tensor, *, infrared: Tensor | None = None, cameras: Tensor | None = None
    ) -> Tensor:
        """`encode` with modality and camera told by tensors, so that it can be traced: what is exported.

        A method that reads modality or cameras has to answer to this too, without a look into the tensors.

        Args:
            clips: As of `encode`.
            infrared: Bool `[B]`, or else visible; read where `reads_modality` says so.
            cameras: int64 `[B]`, index of each clip's camera, -1 where training did not see it; read where
                `reads_cameras` says so.
        """
        return self.encode(clips)


def split_parameters(
    named: Iterable[tuple[str, nn.Parameter]],
    rules: Sequence[tuple[str, tuple[str, ...], float]],
    optim: OptimConfig,
) -> list[ParameterGroup]:
    """Sort trainable parameters into groups by substrings of their names; the first rule that matches wins.

    Args:
        named: Parameters with names; those with `requires_grad=False` are left out.
        rules: (group name, substrings, factor of the base learning rate); an empty tuple of substrings
            matches everything.
        optim: Base learning rate and weight decay.
    """
    groups: dict[str, ParameterGroup] = {
        name: ParameterGroup(name, [], optim.lr * factor, optim.weight_decay) for name, _, factor in rules
    }
    for parameter_name, parameter in named:
        if not parameter.requires_grad:
            continue
        for name, substrings, _ in rules:
            if not substrings or any(s in parameter_name for s in substrings):
                groups[name].parameters.append(parameter)
                break
        else:
            raise ValueError(f"parameter {parameter_name} matches no group of {[r[0] for r in rules]}")
    return [group for group in groups.values() if group.parameters]


def method_names() -> list[str]:
    """Names of all methods."""
    return names(_PACKAGE)


def method_class(name: str) -> type[Method]:
    """The class of the method `name`.

    Raises:
        ValueError: No such method; close names are listed.
    """
    module = load(_PACKAGE, name, "method")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and getattr(value, "name", None) == name
    ]
    return found[0]


def create_method(
    name: str, *, num_identities: int, num_cameras: int, preset: str = "paper", **overrides: Any
) -> Method:
    """Build the method `name` with random or `weights`-initialised parameters.

    Args:
        name: A name from `tapetum methods`.
        num_identities: I, training identities.
        num_cameras: C, training cameras.
        preset: "paper" or "tiny" (or another that the method declares).
        **overrides: Config values, nested ones as mappings or with dotted keys (`**{"loss.msel": 0}`).

    Raises:
        ValueError: Unknown method or preset.
        ConfigError: Unknown config key or illegal value.
    """
    kind = method_class(name)
    config = method_config(name, preset, overrides)
    return kind(config, num_identities, num_cameras)


def method_config(name: str, preset: str, overrides: Mapping[str, Any]) -> MethodConfig:
    """The resolved configuration of a method: defaults, then the preset, then `overrides`."""
    kind = method_class(name)
    if preset not in kind.presets:
        raise ValueError(f"unknown preset {preset!r} of {name}; known: {', '.join(kind.presets)}")
    return build_config(kind.config_type, kind.presets[preset], overrides)
