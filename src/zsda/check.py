"""``python -m zsda.check``: looks for mistakes in data before hours are spent on them."""

import inspect as signatures
import logging
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console
from rich.progress import track
from rich.text import Text

from zsda.core.command import choices, command
from zsda.core.config import build, plain
from zsda.core.errors import ConfigError, IncompleteError, StoreError
from zsda.core.files import check_writable, to_json, write_atomic
from zsda.core.own_data import take_own_data
from zsda.core.plan import Plan
from zsda.core.planning import plan_training
from zsda.core.records import printable
from zsda.data.description import read_description
from zsda.data.inspection import Finding, Listed, Role, inspect, shared_frames
from zsda.data.inventory import find_generated, find_named, find_sets
from zsda.data.set_names import ORACLE
from zsda.data.views import SOURCE, WEATHER
from zsda.reporting.checks import check_console, counted, plain_findings, show_report, tell_findings
from zsda.reporting.plans import faults_of, tell_plan
from zsda.reporting.ratings import rate_sets, show_rated

_OWN = ("set", "recipes", "edits_of", "decode", "out", "setting", "settings")
"""Options that a training does not have."""

_NOT_EDITED = (SOURCE, WEATHER, ORACLE)

_WORDS = ("data", "settings", "domain", "unlabelled")


@command("check")
def main(config: DictConfig) -> None:
    """Shows what is there, tells what is wrong with it, and ends with 1 where anything is."""
    if config.set is not None:
        _check_alone(config)
    build(config.world.prepare)
    planned = None if choices().get("experiment", "None") == "None" else _composed_training()
    if planned is not None:
        config = _for_training(config, planned)
    with _quiet():
        listed, absent = _chosen(config)
        shown = partial(_bar, Console(stderr=True))
        reports = inspect(listed, config.decode, shown)
        shared, disk = shared_frames(listed, config.decode), list(_disk(config))
    if not listed:
        expected = 'cityscapes, GTA5, ACDC or another of the folders that README.md shows under "Data layout"'
        disk.insert(
            0,
            Finding(
                "layout", f"{config.data_root}: no data set in it; expected {expected}, or run with world=miniature"
            ),
        )
    plan = None if planned is None else _plan(planned, [finding.message for one in reports for finding in one.findings])
    if plan is not None:
        disk += [Finding("plan", fault) for fault in plan.faults]
    rated = {} if config.set is None else rate_sets(listed, reports, Path(config.runs_root) / "check")
    console = check_console()
    for report in reports:
        show_report(console, report)
        if report.name in rated:
            show_rated(console, rated[report.name])
    if absent:
        console.print(Text(f"not there: {', '.join(absent)}", style="dim"), soft_wrap=True)
    tell_findings(console, "remarks", reports, [*shared, *disk], fault=False)
    tell_findings(console, "faults", reports, [*shared, *disk], fault=True)
    if plan is not None:
        console.print("\ndisk and cost of the planned run", style="bold")
        tell_plan(console, plan)
    for name, one in rated.items():
        if one.picture is not None:
            console.print(Text(printable(f"the worst edits of {name}: {one.picture}")), soft_wrap=True)
    if config.out is not None:
        edits = {name: one.plain() for name, one in rated.items()}
        write_atomic(Path(config.out), to_json(plain_findings(reports, shared, disk, absent, edits)))
    faulty = [report for report in reports if report.faults]
    count = sum(len(report.faults) for report in faulty) + sum(finding.fault for finding in [*shared, *disk])
    if count:
        sets = f" in {len(faulty)} of {counted(len(reports), 'set')}" if faulty else ""
        raise IncompleteError(
            f"{counted(count, 'fault')}{sets}, each named above{_where(config.out)}; mend them and check again"
        )
    console.print(f"no fault in {counted(len(reports), 'set')}", style="bold green")


def _composed_training() -> DictConfig:
    """Returns what ``python -m zsda.train`` would be configured with by the same words."""
    words = [word for word in HydraConfig.get().overrides.task if not re.match(rf"[+~]*({'|'.join(_OWN)})[.=]", word)]
    planned = hydra.compose("train", overrides=words, return_hydra_config=True)
    take_own_data(planned, "train", words)
    return planned


def _for_training(config: DictConfig, planned: DictConfig) -> DictConfig:
    """Returns the config of this command with the data that a training reads."""
    keys = [key for key in ("data", "unlabelled", "domain") if planned.get(key) is not None]
    read = {key: OmegaConf.to_container(planned[key], resolve=True) for key in keys}
    of_phases = [OmegaConf.select(phase, "data.views", default=[]) for phase in planned.method.phases.values()]
    views = dict.fromkeys(view for own in of_phases for view in own)
    with open_dict(config):
        return OmegaConf.merge(config, read, {"recipes": [view for view in views if view not in _NOT_EDITED]})  # type: ignore[return-value]


def _plan(planned: DictConfig, told: Collection[str]) -> Plan:
    """Says what a training would do; of its faults, those that are not ``told`` yet."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(planned)  # what was chosen for it, not for this command
    try:
        with open_dict(planned):
            del planned["hydra"]
        plan = plan_training(planned)
    finally:
        HydraConfig.instance().cfg = before
    return replace(plan, faults=[fault for fault in faults_of(plan) if fault not in told])


def _check_alone(config: DictConfig) -> None:
    given = [word for word in _WORDS if config.get(word) and not (word == "data" and _file(config))]
    if given:
        named = ", ".join(f"{'setting' if word == 'settings' else word}=" for word in given)
        raise ConfigError(f"set= looks at generated sets alone; give it without {named}, or leave it out")


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves unsaid what data sets say while they are listed: all of it is among the findings."""
    log = logging.getLogger("zsda.data")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _bar(console: Console, looks: Any, total: int) -> Any:  # noqa: ANN401 - of inspect, and the same again
    return track(looks, f"looking at {total} images", total, console=console, transient=True)


def _chosen(config: DictConfig) -> tuple[list[Listed], list[str]]:
    data_root, generated_root = Path(config.data_root), Path(config.generated_root)
    if config.set is not None:
        names = [config.set] if isinstance(config.set, str) else config.set
        return find_named(list(map(str, names)), data_root, generated_root, _file(config)), []
    if not any(config.get(word) for word in _WORDS):
        return find_sets(data_root, generated_root)
    listed: list[Listed] = []
    if config.get("data"):
        nodes: list[tuple[str, Role, Any]] = [("source", "train", config.data.source)]
        if _file(config) is not None:
            nodes += [
                ("source", "scored", OmegaConf.merge(config.data.source, {"split": split}))
                for split in _other_splits(config)
            ]
        elif config.data.get("watch") and config.data.get("validation"):
            nodes.append(("validation", "scored", config.data.validation))
        known: list[Any] = []
        for key, role, node in nodes:
            if plain(node) not in known:  # of GTA5 the source is all there is
                known.append(plain(node))
                listed.append(Listed.by(f"data.{key}", role, partial(_lenient, plain(node))))
    if config.get("unlabelled"):
        if OmegaConf.is_missing(config.unlabelled.images, "source"):
            raise ConfigError("unlabelled=generated are edits of a source; give data=cityscapes as well")
        listed.append(Listed.by("unlabelled.images", "train", partial(_lenient, plain(config.unlabelled.images))))
    for name, node in (config.get("settings") or {}).items():
        listed.append(Listed.by(f"setting={name}", "scored", partial(_lenient, plain(node))))
    if config.get("domain"):
        listed += _sets_of(config, data_root, generated_root)
    return list({(one.name, one.role): one for one in listed}.values()), []


def _file(config: DictConfig) -> Path | None:
    """Returns the file that describes a user's own data; None where the data are others."""
    file = OmegaConf.select(config, "data.file")
    return None if file is None else Path(file)


def _other_splits(config: DictConfig) -> list[str]:
    """Returns the splits of a user's own data but the one that is trained on."""
    return [split for split in read_description(config.data.file).splits if split != config.data.source.split]


def _sets_of(config: DictConfig, data_root: Path, generated_root: Path) -> list[Listed]:
    """Lists the sets of a domain: those that must be there, and others that are."""
    name = str(config.domain.name)
    source = {
        "_target_": "zsda.data.datasets.cityscapes.Cityscapes",
        "root": str(data_root / "cityscapes"),
        "split": "train",
    }
    if config.get("data") and "split" in config.data.source:
        source = plain(config.data.source)
    found = find_generated(data_root, generated_root, name, _file(config))
    needed = [
        Listed.by(
            f"{name}_{recipe} train",
            "train",
            partial(
                _lenient,
                {
                    "_target_": "zsda.data.datasets.generated.GeneratedSet",
                    "root": str(generated_root),
                    "domain": name,
                    "recipe": recipe,
                    "source": source,
                },
            ),
        )
        for recipe in config.recipes
    ]
    return [*needed, *found]


def _lenient(node: dict[str, Any]) -> Any:  # noqa: ANN401 - a SegmentationDataset
    """Builds a data set that keeps what is wrong with it, so that all of it is found."""
    return build(OmegaConf.create(_leniently(node)))


def _leniently(node: dict[str, Any]) -> dict[str, Any]:
    taken = signatures.signature(hydra.utils.get_class(node["_target_"])).parameters
    node = {
        key: _leniently(value) if isinstance(value, dict) and "_target_" in value else value
        for key, value in node.items()
    }
    if "needs_labels" in taken and node.get("needs_labels") is not False:
        node["needs_labels"] = None
    return {**node, "checks": "none"} if "checks" in taken else node


def _disk(config: DictConfig) -> Iterator[Finding]:
    """Says how much room there is, and where nothing can be written."""
    rooms: dict[int, tuple[float, list[str]]] = {}
    for key in ("data_root", "generated_root", "runs_root"):
        place = Path(config[key])
        try:
            check_writable(key, place)
        except StoreError as error:
            # Data are often shared by many who may only read them.
            yield Finding("disk", str(error), fault=key != "data_root")
        there = next((path for path in (place, *place.absolute().parents) if path.exists()), Path("/"))
        _, places = rooms.setdefault(there.stat().st_dev, (shutil.disk_usage(there).free, []))
        places.append(f"{key}={place}")
    for free, places in rooms.values():
        yield Finding("disk", f"{', '.join(places)}: {free / 10**9:.1f} GB free", fault=False)


def _where(out: object) -> str:
    return "" if out is None else f" and in {out}"


if __name__ == "__main__":
    main()
