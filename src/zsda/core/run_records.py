"""What the files of a run folder hold."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, FailFast, Field, model_validator

from zsda.core.records import PlainName, Record


def _scalar_or_list(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    if isinstance(value, Mapping):
        raise ValueError("expected a number, a text or a list")
    if isinstance(value, list):
        return [_scalar_or_list(inner) for inner in value]
    return value


Plain = Annotated[Any, AfterValidator(_scalar_or_list)]
"""A plain scalar, or a list of them."""


def _option(value: str) -> str:
    if any(part.startswith("/") or ".." in part.split("/") for part in value.strip("[]").split(",")):
        raise ValueError("expected names of options, no paths")
    return value


_Option = Annotated[str, AfterValidator(_option)]


_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


_Left = Annotated[str, Field(pattern=r"^((epochs/)?[A-Za-z0-9_]+\.safetensors|labels)$")]


_FolderName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]{0,200}$")]


_Side = Annotated[int, Field(ge=1, le=2**13)]


class NetworkRecord(Record):
    """What a network is built from: an option of the config group ``model``, and the arguments of its classes.

    Attributes:
        option: its name among the configs.
        classes: place in that config -> class that is built there; the network's own stands under ``model``. They are compared
            with those of the option, never built.
        arguments: dotted name -> plain value.
    """

    option: _Option
    classes: dict[str, str]
    arguments: dict[str, Plain]


class ClassRecord(Record):
    """A class: its name, what it takes in, and its colour, RGB."""

    name: str
    takes: Annotated[list[str], Field(min_length=1, max_length=256)]
    colour: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]


class ClassesRecord(Record):
    """A class set, its classes in the order of their ids."""

    name: str
    classes: Annotated[list[ClassRecord], Field(min_length=1, max_length=255)]


class RunHeader(Record):
    """What a training is, for those who read its folder.

    Attributes:
        method: how it was trained.
        source: the labelled images that it started from, as tables call them.
        source_setting: the setting that shows the source by itself, as ``day``.
        target: the setting that it was adapted to; None where no phase looks beyond the source.
        domain: the condition of its edits or renders, as ``domain=`` names it; None where no phase looks at its images.
        unlabelled: the images of the condition that it trained itself on, real ones without labels, or edits; None without any.
        seed: of the training.
        classes: what it tells apart.
        world: where its data came from.
        experiment: the option that was chosen, if any.
        size: height, width that the network saw.
        network: what it is.
        start_weights: digest of the file that it started from; None without one.
        batch_size: scenes of an optimiser step.
        optimizer: its class and arguments, by dotted names.
        schedule: the same of the learning rate's.
    """

    method: PlainName
    source: str
    source_setting: PlainName
    target: PlainName | None
    domain: PlainName | None
    unlabelled: str | None
    seed: int
    classes: ClassesRecord
    world: _Option
    experiment: _Option | None
    size: Annotated[list[_Side], Field(min_length=2, max_length=2)]
    network: NetworkRecord
    start_weights: str | None
    batch_size: int
    optimizer: dict[str, Plain]
    schedule: dict[str, Plain]

    def shared(self) -> dict[str, Any]:
        """Returns what methods that are compared with each other should have in common."""
        shared = self.model_dump(
            include={"source", "classes", "world", "batch_size", "optimizer", "schedule", "start_weights"}
        )
        return {**shared, "model": self.network.arguments}


class RunRecord(Record):
    """``run.json``.

    Attributes:
        header: what is read of it to evaluate and to report; None in a run of another command than ``zsda.train``.
        settings: plain values that determine the result, compared when it is continued.
        choices: config group -> chosen option.
        phases: names of the phases, in their order.
        files: ``<phase>/<view>`` -> fingerprint of the contents of the files that it is trained on, wherever they lie.
        starts: where, when and how it was started, once for each start.
    """

    header: RunHeader | None
    settings: dict[str, Any]
    choices: dict[str, _Option]
    phases: Annotated[list[_FolderName], Field(min_length=1)]
    files: dict[str, str] = Field(default_factory=dict)
    starts: list[dict[str, Any]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        """Refuses a file of which one part tells of another training than the other."""
        if self.header is not None and self.settings.get("seed") != self.header.seed:
            raise ValueError(f"settings.seed is {self.settings.get('seed')!r}, and {self.header.seed} in its header")
        if self.header is not None and not self.choices:
            raise ValueError("choices is empty")
        return self


class PhaseReport(Record):
    """``phase.json``, which is written when a phase is finished.

    Attributes:
        epochs: how many it took; none of a labelling.
        steps: how many optimiser steps.
        seconds: of its last start.
        resumed: whether that start went on from a checkpoint.
        left_out: damaged files that were not used.
        watched: name -> last value of what was watched.
        leaves: names of what it left: ``weights`` and other networks, or ``labels``.
        digests: file of weights, relative to the folder of the phase, or ``labels`` -> SHA-256.
    """

    epochs: Annotated[int, Field(ge=0)]
    steps: Annotated[int, Field(ge=0)]
    seconds: Annotated[float, Field(ge=0, le=10**10, allow_inf_nan=False)]
    resumed: bool
    left_out: Annotated[list[str], FailFast()]
    watched: dict[str, float]
    leaves: list[PlainName] = Field(default_factory=lambda: ["weights"])
    digests: dict[_Left, _Digest] = Field(default_factory=dict)
