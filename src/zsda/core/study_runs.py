"""The list of a study: which runs it has, and what each of them takes."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, ValidationError

from zsda.core.errors import ConfigError
from zsda.core.values import NAME

_ROUNDS = (1, 2, 3)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Part(_Strict):
    """Runs of several methods for the same domains.

    Attributes:
        rows: method -> further words of ``zsda.train``, or names of such.
        domains: which each method is trained for; None is a run without one.
        words: those that all rows have.
        sets: recipes of the generated sets that must be there.
        name: what the names of the runs begin with, in place of the domain.
        scored_in: settings, in place of source and domain.
    """

    rows: dict[str, list[str]]
    domains: list[str | None]
    words: list[str] = []
    sets: list[Literal["intermediate", "target", "whole"]] = []
    name: str | None = None
    scored_in: list[str] | None = None


class Report(_Strict):
    """A page: the runs of some methods, held against some of them; those of some parts, where others start from another source."""

    methods: list[str]
    against: list[str]
    parts: list[str] | None = None


class Sheets(_Strict):
    """Pictures of the first scenes of each domain, with what runs of these methods and of the first seed predict."""

    methods: list[str]
    scenes: int


class StudyList(_Strict):
    """``conf/list/NAME.yaml``.

    Attributes:
        data_root: where the data lie if the command line does not say so; so with ``runs_root``.
        runs_root: where the runs go.
        for_all: words of every set, training and evaluation.
        scenes: split -> scenes of a rendered world; None leaves it as it is.
        source: the setting that shows the source.
        protocol: of the evaluations.
        size: height, width that networks see there; None is what they were trained at.
        score: that pages compare.
        words: name -> words of ``zsda.train``, in which {domain} and {seed} stand for those of a run, and {round} for each round of HIAST.
        parts: name -> runs, in their order.
        reports: name -> what is compared.
        sheets: what is shown; None shows nothing.
    """

    data_root: str
    runs_root: str
    for_all: list[str]
    scenes: dict[Literal["train", "val", "test"], int] | None
    source: str
    protocol: str
    size: list[int] | None
    score: str
    words: dict[str, list[str]]
    parts: dict[str, Part]
    reports: dict[str, Report]
    sheets: Sheets | None


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Attributes:
        name: of its folder.
        part: of the list.
        method: under which it is compared.
        domain: that it is adapted to; None where it is scored in several.
        seed: of its training.
        words: of ``zsda.train``, beside those that all have.
        scored_in: settings.
        sets: the recipes of the generated sets of its domain that it reads.
        start: the run that it starts from.
    """

    name: str
    part: str
    method: str
    domain: str | None
    seed: int
    words: tuple[str, ...]
    scored_in: tuple[str, ...]
    sets: tuple[str, ...]
    start: str | None


def study_list(config: DictConfig, name: str) -> StudyList:
    """Returns the list that a config chose.

    Args:
        config: of the study.
        name: of the list.

    Raises:
        ConfigError: it is not as `StudyList` says, or names a method that it has no row of.
    """
    try:
        found = StudyList.model_validate(OmegaConf.to_container(config.list, resolve=True))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"list={name}: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}") from error
    methods = {method for part in found.parts.values() for method in part.rows}
    shown = {f"reports.{key}": [*one.methods, *one.against] for key, one in found.reports.items()}
    if found.sheets is not None:
        shown["sheets"] = found.sheets.methods
    for place, asked in shown.items():
        unknown = [method for method in asked if method not in methods]
        if unknown:
            raise ConfigError(f"list={name}: {place}: no part has a row {', '.join(unknown)}")
    for key, report in found.reports.items():
        missing = [part for part in report.parts or () if part not in found.parts]
        if missing:
            raise ConfigError(f"list={name}: reports.{key}: no part {', '.join(missing)}")
    for word in found.for_all:
        if word.lstrip("+~").startswith(("world=", "world.prepare.")):
            raise ConfigError(f"list={name}: for_all: {word}; expected it on the command line, or under scenes")
    for key, part in found.parts.items():
        if None in part.domains and not (part.name and part.scored_in):
            raise ConfigError(f"list={name}: parts.{key}: without a domain it needs a name, and settings in scored_in")
    return found


def study_runs(chosen: StudyList, asked: Sequence[str] | None, seeds: Sequence[int]) -> list[StudyRun]:
    """Returns all runs of a list, seed by seed, in the order of its parts.

    Args:
        chosen: the list.
        asked: names of parts; None asks for all.
        seeds: of the trainings.

    Raises:
        ConfigError: the list has no such part, two runs have one name or one has none for a folder, or a run starts from one that is not
            made before it.
    """
    unknown = [name for name in asked or () if name not in chosen.parts]
    if unknown:
        raise ConfigError(f"parts={','.join(unknown)}: no part of the list; expected some of {', '.join(chosen.parts)}")
    parts = [name for name in chosen.parts if asked is None or name in asked]
    runs = [run for seed in seeds for part in parts for run in _runs_of_part(chosen, part, seed)]
    before = set[str]()
    for run in runs:
        NAME.check("a run of the list", run.name)
        if run.name in before:
            raise ConfigError(f"two runs of the list are called {run.name}; give one part another name:")
        if run.start is not None and run.start not in before:
            raise ConfigError(
                f"{run.name} starts from {run.start}, which is not made before it; give parts= that part, too"
            )
        before.add(run.name)
    return runs


def _runs_of_part(chosen: StudyList, key: str, seed: int) -> Iterator[StudyRun]:
    part = chosen.parts[key]
    for (method, own), domain in itertools.product(part.rows.items(), part.domains):
        words = [word for one in (*part.words, *own) for word in _spelt(chosen.words, one, domain, seed)]
        if not any(word.startswith("method=") for word in words):
            words.insert(0, f"method={method}")  # also of an experiment, which has a method of its own
        name = f"{part.name or domain}_{method}_seed{seed}"
        yield StudyRun(
            name=name,
            part=key,
            method=method,
            domain=domain,
            seed=seed,
            words=(
                *([] if domain is None else [f"domain={domain}"]),
                *words,
                f"method.name={method}",
                f"seed={seed}",
                f"name={name}",
            ),
            scored_in=tuple(part.scored_in or (chosen.source, str(domain))),
            sets=tuple(part.sets),
            start=next((word.partition("=")[2] for word in words if word.startswith("start_run=")), None),
        )


def _spelt(named: dict[str, list[str]], one: str, domain: str | None, seed: int) -> Iterator[str]:
    """Returns the words that a name of the list stands for, or the word itself, with what its places stand for."""
    for word in named.get(one, [one]):
        filled = word.replace("{domain}", str(domain)).replace("{seed}", str(seed))
        yield from (filled.replace("{round}", str(number)) for number in _ROUNDS) if "{round}" in word else [filled]
