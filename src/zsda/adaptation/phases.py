"""Runs a method, which is a list of phases: finished ones are skipped, an interrupted one is resumed."""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

from torch import nn

from zsda.core.errors import ConfigError
from zsda.core.runs import PhaseFolder, RunFolder
from zsda.core.seeds import phase_seed
from zsda.data.faults import FaultLog
from zsda.data.resizing import Size
from zsda.training.fit import Engine

LABELS = "labels"
"""What a labelling leaves: `PhaseFolder.labels`, a PNG for each image, ids of the class set and 255."""

_log = logging.getLogger(__name__)


class Need(NamedTuple):
    """What a phase takes from an earlier one.

    Attributes:
        phase: the name of that one.
        what: ``labels``, ``weights``, or the name of another network that it leaves.
    """

    phase: str
    what: str

    @classmethod
    def of(cls, network: str) -> Self:
        """Reads ``<phase>``, which means its result, or ``<phase>/<network>``."""
        phase, _, what = network.partition("/")
        return cls(phase, what or "weights")


@dataclass(frozen=True)
class Facts:
    """What a phase can tell before it runs.

    Attributes:
        files: what it reads -> fingerprint of the files; where they lie is not told. Of several phases, ``<phase>/<what it reads>``.
        source: how the labelled images that it starts from are called; None if it reads none.
        source_setting: the setting that shows them.
        unlabelled: how the images of the condition without labels are called; None if it reads none.
        target: the setting that shows what it adapts to; None if it looks at the source alone.
        classes: the class set that it speaks of, in the plain form of `zsda.data.labels.ClassSet`.
        shown: option -> height, width of the images that a network is shown.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    source_setting: str | None = None
    unlabelled: str | None = None
    target: str | None = None
    classes: Mapping[str, Any] | None = None
    shown: Sequence[tuple[str, Size]] = ()


@dataclass(frozen=True)
class Given:
    """What a phase runs with.

    Attributes:
        number: of the phase, from 0.
        title: how its lines of log begin.
        folder: receives all it leaves; `PhaseFolder.finish` is its last act, in one process of all.
        run: the folders of earlier phases.
        model: the network as the run built it, with the weights that its first phase starts from; the phase may change it.
        seed: with its number it seeds a phase, so that none depends on whether those before ran in this process.
        engine: what trainings are run with.
    """

    number: int
    title: str
    folder: PhaseFolder
    run: RunFolder
    model: nn.Module
    seed: int
    engine: Engine


class Phase(Protocol):
    """One step of a method.

    Attributes:
        name: names its folder; unique within the method.
        needs: what it takes from earlier phases.
        leaves: names of what it leaves for later ones.
    """

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def needs(self) -> Sequence[Need]:
        """What it takes."""
        ...

    @property
    def leaves(self) -> Sequence[str]:
        """What it leaves."""
        ...

    def check(self, number: int, processes: int, synchronised: bool) -> Facts:
        """Finds what is wrong with it before anything is started or written.

        Args:
            number: of the phase, from 0.
            processes: how many will run it.
            synchronised: whether batch normalisation sees the batches of all of them.

        Raises:
            ZsdaError: something is.
        """
        ...

    def run(self, given: Given) -> None:
        """Says what it does, and does it to its end, from where an earlier start was interrupted."""
        ...


def run_phases(phases: Sequence[Phase], model: nn.Module, seed: int, engine: Engine, run: RunFolder) -> PhaseFolder:
    """Runs phases that `check_phases` found nothing wrong with, in order.

    Args:
        phases: of the method.
        model: the network as built; every phase is given a copy of its own.
        seed: of the run.
        engine: what trainings are run with.
        run: receives a folder for each phase.

    Returns:
        The folder of the last phase.

    Raises:
        IncompleteError: everything is finished, but damaged files were left out.
        StoreError: what a finished phase left is gone and cannot be made again, or is no longer what it was.
    """
    left_out = FaultLog()
    for number, phase in enumerate(phases):
        folder = run.phase(phase.name)
        title = f"phase {number + 1} of {len(phases)}, {phase.name}"
        if folder.finished:
            folder.check_unchanged()
        if folder.finished and not folder.restorable:
            folder.check_there()
            _log.info("%s: finished before, skipped", title)
        else:
            if folder.finished:
                _log.warning("%s: %s is gone, and made again from the last checkpoint", title, folder.missing()[0])
            # Not its weights alone: what a phase freezes is no matter of the next one.
            own = copy.deepcopy(model)
            phase.run(Given(number, title, folder, run, own, phase_seed(seed, number), engine))
        left_out.add(folder.report().left_out)
    left_out.conclude(f"trained, the results are in {run.path}")
    return folder


def check_phases(phases: Sequence[Phase], processes: int = 1, synchronised: bool = False) -> Facts:
    """Finds what is wrong with a list of phases before anything is started or written.

    Returns:
        What they can tell together: of the source the first, of the target the last.

    Raises:
        ConfigError: names are not unique, a phase needs what none before it leaves, none reads a labelled source, or their classes
            differ.
        DataError: something that a phase reads is not there.
    """
    check_needs(phases)
    return _together({phase.name: phase.check(number, processes, synchronised) for number, phase in enumerate(phases)})


def check_needs(phases: Sequence[Phase]) -> None:
    """Refuses phases of equal names, and one that needs what none before it leaves.

    Raises:
        ConfigError: there are such.
    """
    before: dict[str, Sequence[str]] = {}
    for phase in phases:
        if phase.name in before:
            raise ConfigError(f"two phases are called {phase.name!r}; expected unique names")
        for need in phase.needs:
            if need.what not in before.get(need.phase, []):
                there = [f"{what} of {name}" for name, leaves in before.items() for what in leaves]
                raise ConfigError(
                    f"phase {phase.name!r} needs {need.what} of {need.phase!r}; expected some of those before it: {there}"
                )
        before[phase.name] = phase.leaves


def _together(facts: Mapping[str, Facts]) -> Facts:
    every = list(facts.values())
    sources = [told for told in every if told.source is not None]
    if not sources:
        raise ConfigError(f"none of the phases {', '.join(facts)} reads a labelled source; expected one that trains")
    if any(told.classes != sources[0].classes for told in every if told.classes is not None):
        raise ConfigError(f"the phases {', '.join(facts)} tell different classes apart; expected one class set for all")
    return Facts(
        files={f"{phase}/{name}": value for phase, told in facts.items() for name, value in told.files.items()},
        source=sources[0].source,
        source_setting=sources[0].source_setting,
        unlabelled=next((told.unlabelled for told in reversed(every) if told.unlabelled), None),
        target=next((told.target for told in reversed(every) if told.target), None),
        classes=sources[0].classes,
        shown=[size for told in every for size in told.shown],
    )
