"""Run folders: what a training is, its settings, and its phases."""

import fnmatch
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from zsda.core.digests import content_digests
from zsda.core.errors import ConfigError, RecordError, StoreError
from zsda.core.files import digest as digest_of
from zsda.core.files import remove_parts, to_json, write_atomic
from zsda.core.records import NAME, check_plain, read_record
from zsda.core.run_records import PhaseReport, RunHeader, RunRecord
from zsda.core.settings import differences, without
from zsda.core.trained import CHANGED

_log = logging.getLogger(__name__)

_WEIGHTS = "*.safetensors"
_SEEDS = ("seed", "data.seed")
_OTHER_RUN = "give the new one another name=..., or delete the folder"
_FOREIGN_RUN = "it is none that this version of python -m zsda.train wrote: train it anew, or score its weights with ckpt=FILE model=..."


class PhaseFolder:
    """``runs/<name>/<phase>/``: what a phase is resumed from while it runs, and what it leaves when it is finished.

    Attributes:
        path: the folder.
        checkpoint: the newest state of a training.
        checkpoint_before: the one before it.
        labels: the folder of the pseudo labels that a labelling leaves.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoint = path / "last.ckpt"
        self.checkpoint_before = path / "previous.ckpt"
        self.labels = path / "labels"
        self._report = path / "phase.json"

    def network(self, name: str = "weights") -> Path:
        """Returns where the weights of a network that a training leaves are; ``weights`` is its result."""
        return self.path / f"{name}.safetensors"

    @property
    def weights(self) -> Path:
        """Where the weights are that are its result."""
        return self.network()

    @property
    def begun(self) -> bool:
        """Whether there is anything that a new start would go on from."""
        return self.finished or self.checkpoint.is_file() or self.checkpoint_before.is_file() or self.labels.is_dir()

    @property
    def finished(self) -> bool:
        """Whether the report, which is written last, is there."""
        return self._report.is_file()

    def finish(self, report: PhaseReport) -> None:
        """Marks the phase as finished, with the digests of all that it left; its last checkpoint is kept, the one before it is not."""
        found = content_digests([*self.path.glob(_WEIGHTS), *self._kept_epochs().values()])
        digests = {path.relative_to(self.path).as_posix(): digest for path, digest in found.items()}
        if self.labels.is_dir():
            digests[self.labels.name] = self._digest_of_labels()
        write_atomic(self._report, to_json({**report.model_dump(), "digests": digests}))
        self.checkpoint_before.unlink(missing_ok=True)

    def start_anew(self) -> None:
        """Removes the weights of an earlier training that has no checkpoint any more; to be called by the owner of the run."""
        for path in (*self.path.glob(_WEIGHTS), *self._kept_epochs().values()):
            path.unlink(missing_ok=True)

    @property
    def finished_at(self) -> float:
        """When it was finished, in seconds since 1970."""
        return self._report.stat().st_mtime

    def report(self) -> PhaseReport:
        """Returns what `finish` was given.

        Raises:
            RecordError: the file is no such report.
        """
        way_out = "delete it to finish this phase anew from its last checkpoint"
        return read_record(PhaseReport, self._report, way_out, told=["left_out"])

    def digests(self) -> dict[Path, str]:
        """Returns weights, those of kept epochs too, or the folder of labels -> SHA-256 when the phase was finished.

        An earlier version recorded none.
        """
        return {self.path / name: digest for name, digest in self.report().digests.items()}

    def missing(self) -> list[Path]:
        """Returns what a finished phase left and is gone; kept epochs may be."""
        left = [self.labels if name == self.labels.name else self.network(name) for name in self.report().leaves]
        return [path for path in left if not path.exists()]

    @property
    def restorable(self) -> bool:
        """Whether something that the finished phase left is gone, but can be made again from the last checkpoint."""
        gone = self.missing()
        return bool(gone) and self.labels not in gone and self.checkpoint.is_file()

    def check_there(self) -> None:
        """Refuses a finished phase of which something is gone.

        Raises:
            RecordError: it is.
        """
        for path in self.missing():
            restored = "start its python -m zsda.train again, which makes it from the last checkpoint"
            anew = f"put it back, or delete {self.path} to make it anew"
            raise RecordError(f"{path} is gone; {restored if self.restorable else anew}")

    def check_unchanged(self) -> None:
        """Refuses a finished phase if something that it left, and that is there, is no longer what it was.

        Raises:
            StoreError: it is.
        """
        wanted = {path: digest for path, digest in self.digests().items() if path.exists()}
        found: dict[Path, str | None] = dict(content_digests(path for path in wanted if path != self.labels))
        if self.labels in wanted:
            found[self.labels] = self._digest_of_labels()
        changed = [path for path, digest in found.items() if digest != wanted[path]]
        if changed:
            raise StoreError(f"{changed[0]} {CHANGED}")

    def _digest_of_labels(self) -> str:
        found = content_digests(sorted(self.labels.glob("*.png")))
        return digest_of(repr([(path.name, digest) for path, digest in found.items()]).encode())

    def epoch_weights(self, epoch: int) -> Path:
        """Returns where the weights after an epoch, counted from 1, are kept."""
        return self.path / "epochs" / f"{epoch:04d}.safetensors"

    def kept(self) -> dict[int, Path]:
        """Returns epoch -> weights after it, in their order, of a finished phase: those that were kept, and the last ones."""
        last = self.report().epochs
        before = {epoch: path for epoch, path in self._kept_epochs().items() if epoch < last}
        return dict(sorted({**before, last: self.weights}.items()))

    def _kept_epochs(self) -> dict[int, Path]:
        found = self.epoch_weights(0).parent.glob(_WEIGHTS)
        return {int(path.stem): path for path in found if re.fullmatch(r"[0-9]{1,9}", path.stem)}


class RunFolder:
    """``runs/<name>/``: one training with its settings, where they came from, and its phases.

    Args:
        path: the folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._record = path / "run.json"

    def claim(self, record: RunRecord, start: Mapping[str, Any], write: bool = True) -> None:
        """Starts the run, or continues it if it was started with the same settings or has trained nothing yet.

        To be called by the owner of the folder (`zsda.core.locks.owned`).

        Args:
            record: what it is; its ``starts`` are those of the folder.
            start: plain values that say where, when and how it was started; one entry is kept for each start.
            write: False only checks, as all but one of several processes do.

        Raises:
            StoreError: the folder holds a run with other settings or of other files, or cannot be written.
            ConfigError: the settings cannot be recorded.
        """
        plain = json.loads(to_json(record.model_dump(exclude={"starts"})))
        try:
            check_plain(plain)
        except StoreError as error:
            raise ConfigError(f"a run cannot record {error}") from error
        starts = []
        if self._record.is_file():
            found = self.record()
            self._check_same(found, plain)
            starts = found.starts
        elif begun := [name for name in record.phases if self.phase(name).begun]:
            raise StoreError(
                f"{self.path} holds the phase {begun[0]} but no run.json that tells what it is; {_OTHER_RUN}"
            )
        if write:
            remove_parts(self.path, owned=True)  # not below: an evaluation may be writing there
            for name in record.phases:
                remove_parts(self.path / name, below=True, owned=True)
            write_atomic(self._record, to_json({**plain, "starts": [*starts, start]}))

    def _check_same(self, found: RunRecord, asked: Mapping[str, Any]) -> None:
        begun = {name for name in (*found.phases, *asked["phases"]) if self.phase(name).begun}
        if not begun:
            return
        differing = list(
            differences(
                {"phases": found.phases, **found.settings}, {"phases": asked["phases"], **asked["settings"]}
            ).values()
        )
        if differing:
            raise StoreError(f"{self.path} holds a run with other settings ({'; '.join(differing[:4])}); {_OTHER_RUN}")
        # What a phase that is not begun will read may be mended. An earlier version did not record which reads what.
        read = [key.rpartition("/") for key in differences(found.files, asked["files"])]
        changed = sorted({name for phase, _, name in read if phase in (*begun, "")})
        if changed:
            raise StoreError(
                f"{self.path} holds a run that was trained on other files of {', '.join(changed)} (names or contents differ, wherever "
                f"they lie): some were changed, added or removed since; {_OTHER_RUN}"
            )

    def record(self) -> RunRecord:
        """Returns what `claim` wrote.

        Raises:
            RecordError: the folder holds no run, or one whose file was not written by this version of zsda.
        """
        if not self._record.is_file():
            raise RecordError(f"{self.path} holds no run of zsda.train; expected {self._record.name} in it")
        return read_record(RunRecord, self._record, _FOREIGN_RUN, told=["starts"])

    def header(self) -> RunHeader:
        """Returns what the training is.

        Raises:
            RecordError: see `record`; or it is none.
        """
        header = self.record().header
        if header is None:
            raise RecordError(f"{self.path} holds no run of zsda.train, but one of another command")
        return header

    def differing_settings(self, other: Self) -> list[str]:
        """Returns the dotted keys in which another run was trained otherwise than this one, but for the seed.

        Raises:
            StoreError: see `record`.
        """
        own, others = ({**without(run.record().settings, _SEEDS), "world": run.header().world} for run in (self, other))
        # A phase with data of its own has the seed there.
        return [key for key in differences(own, others) if not key.endswith(".data.seed")]

    def phase(self, name: str) -> PhaseFolder:
        """Returns the folder of a phase."""
        return PhaseFolder(self.path / name)

    def finished_phase(self, name: str | None = None) -> PhaseFolder:
        """Returns the folder of a finished phase that left weights; None means the last of them.

        Raises:
            StoreError: there is no such phase, it is not finished, or something that it left is gone.
        """
        names = self.phase_names()
        if name is not None and name not in names:
            raise StoreError(f"{self.path} has no phase {name!r}; expected one of {', '.join(names)}")
        asked = names[::-1] if name is None else [name]
        for phase in map(self.phase, asked):
            if not phase.finished:
                raise StoreError(
                    f"phase {phase.path.name!r} of {self.path} is not finished; start its python -m zsda.train again, or give phase=..."
                )
            if "weights" in phase.report().leaves:
                phase.check_there()
                return phase
        raise StoreError(f"phase {asked[0]!r} of {self.path} left no weights; give another phase=")

    def phase_names(self) -> list[str]:
        """Returns the phases of the run's method, in their order."""
        return self.record().phases


def latest_finished_run(root: Path) -> RunFolder:
    """Returns the run under ``root`` whose last phase was finished most recently.

    Raises:
        StoreError: there is none.
    """
    finished: list[tuple[float, RunFolder]] = []
    for name in _run_names(root):
        run = RunFolder(root / name)
        try:
            last = run.phase(run.phase_names()[-1])
        except StoreError as error:
            _log.warning("passed over: %s", error)
            continue
        if last.finished:
            finished.append((last.finished_at, run))
    if not finished:
        raise StoreError(
            f"no finished run under {root}; train one with python -m zsda.train, or give run=NAME or ckpt=FILE"
        )
    return max(finished, key=lambda entry: entry[0])[1]


def _run_names(root: Path) -> list[str]:
    """Lists the runs whose folders are called as those of ``zsda.train`` are."""
    return sorted(r.parent.name for r in root.glob("*/run.json") if re.fullmatch(NAME, r.parent.name))


def matching_runs(root: Path, patterns: Sequence[str]) -> list[RunFolder]:
    """Returns the runs under ``root``, finished or not, whose names match.

    Args:
        root: the folder of the runs.
        patterns: names, or shell patterns such as ``*_seed0``; runs come in this order, those of one pattern by name.

    Raises:
        StoreError: a pattern that no run matches.
    """
    names = _run_names(root)
    matches = {pattern: fnmatch.filter(names, pattern) for pattern in patterns}
    missed = [pattern for pattern, found in matches.items() if not found]
    if missed or not matches:
        there = f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        asked = f"no run under {root} matches {', '.join(missed) or 'an empty list'}"
        raise StoreError(f"{asked}; {there if names else 'train one with python -m zsda.train'}")
    return [RunFolder(root / name) for name in dict.fromkeys(name for found in matches.values() for name in found)]
