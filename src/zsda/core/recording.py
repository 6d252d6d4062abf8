"""What a training records of its config, and its network built again from that."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from zsda.core.command import choices, config_error
from zsda.core.config import plain
from zsda.core.errors import ConfigError, StoreError
from zsda.core.files import file_digest
from zsda.core.records import NAME, check_plain, first_fault
from zsda.core.resources import located
from zsda.core.run_records import ClassesRecord, NetworkRecord, RunHeader, RunRecord
from zsda.core.settings import without

_CLASS = "_target_"
_OF_DATA = "zsda.data."  # what classes of data sets are called
_TOP = "model"
_COMPARED = ("seed", "domain", "data", "model", "optimizer", "schedule", "trainer")
_OF_EDITS = ("domain", "min_layout_score", "keep_best")
_OF_THE_METHOD = ("name", "phases")  # its other keys are what these refer to


@dataclass(frozen=True)
class Trained:
    """What a config does not tell of a training, but its objects do.

    Attributes:
        phases: their names, in their order.
        precision: of the trainer.
        files: ``<phase>/<what it reads>`` -> fingerprint of its files; where they lie is not recorded.
        source: how the labelled images that it starts from are called.
        source_setting: the setting that shows them by themselves.
        unlabelled: how the images of the condition without labels are called; None without any.
        target: the setting that it adapts to; None where no phase looks beyond the source.
        classes: the class set, in its plain form.
        taken: those of the phases whose weights are another run's.
    """

    phases: Sequence[str]
    precision: Any
    files: Mapping[str, str]
    source: str
    source_setting: str
    unlabelled: str | None
    target: str | None
    classes: Mapping[str, Any]
    taken: Sequence[str] = ()

    @property
    def unread(self) -> list[str]:
        """Dotted keys of the config that make no difference to these phases."""
        # A run that sees no domain is the same one for all of them, so that a sweep over domains trains it once.
        return [
            *([] if any(name.endswith("/weather") for name in self.files) else ["data.weather"]),
            *([f"data.{key}" for key in _OF_EDITS] + ["domain"] if self.target is None else []),
            *(
                [f"data.{key}" for key in ("unlabelled", "unlabelled_transform", "target")]
                if self.unlabelled is None
                else []
            ),
            *(f"method.phases.{name}" for name in self.taken),
        ]


def compared(config: DictConfig) -> dict[str, Any]:
    """Returns, of a composed config of ``zsda.train``, what its result follows from, as plain values."""
    whole = plain(config)
    method = {key: whole["method"][key] for key in _OF_THE_METHOD}
    phases = [f"method.phases.{name}." for name in method["phases"]]
    kept = {**{key: whole[key] for key in _COMPARED if key in whole}, "method": method}
    return without(kept, [f"{place}data.cache" for place in ("", *phases)])


def training_record(config: DictConfig, trained: Trained) -> RunRecord:
    """Returns what ``run.json`` says of a training.

    Args:
        config: as it was composed, inside a running command.
        trained: what its objects tell.

    Raises:
        ConfigError: the config holds what no run folder may.
        ModelError: there are no such start weights.
    """
    settings = recordable(without(compared(config), trained.unread))
    settings["trainer"]["precision"] = trained.precision
    weights = config.model.get("weights")
    settings["model"]["weights"] = None if weights is None else file_digest(located(weights))
    chosen = {group: option for group, option in choices().items() if option != "None"}
    network = record_network(config.model, chosen["model"])
    try:
        header = RunHeader(
            method=str(config.method.name),
            source=trained.source,
            source_setting=trained.source_setting,
            target=trained.target,
            # One that was named but at whose images no phase looks made no difference.
            domain=None if config.get("domain") is None or "domain" in trained.unread else str(config.domain.name),
            unlabelled=trained.unlabelled,
            seed=config.seed,
            classes=ClassesRecord(**trained.classes),
            world=chosen["world"],
            experiment=chosen.get("experiment"),
            size=list(config.data.transform.size),
            network=network,
            start_weights=settings["model"]["weights"],
            batch_size=config.data.batch_size,
            optimizer=_made_with(settings["optimizer"]),
            schedule=_made_with(settings["schedule"]),
        )
        return RunRecord(
            header=header, settings=settings, choices=choices(), phases=list(trained.phases), files=dict(trained.files)
        )
    except ValidationError as error:
        raise ConfigError(f"a run cannot record {first_fault(error)}") from error


def recordable(value: Any) -> Any:  # noqa: ANN401 - a config as plain values
    """Copies settings without the places of files, and under names by which nothing is built."""
    if isinstance(value, Mapping):
        of_data = str(value.get(_CLASS, "")).startswith(_OF_DATA)
        kept = {key: inner for key, inner in value.items() if not _is_place(str(key), of_data)}
        return {"class" if key == _CLASS else str(key).strip("_"): recordable(inner) for key, inner in kept.items()}
    return [recordable(inner) for inner in value] if isinstance(value, list) else value


def _made_with(recorded: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _flat(recorded).items() if key != "partial"}


def _is_place(key: str, of_data: bool) -> bool:
    return key in ("root", "subset") or key.endswith(("_root", "_subset")) or (of_data and key == "file")


def record_network(node: DictConfig, option: str) -> NetworkRecord:
    """Records what a network is built from.

    Args:
        node: a config of the group ``model`` as it was composed; its key ``weights``, where a training starts, is no part of it.
        option: its name in the group.

    Raises:
        ConfigError: the option is a path; or the config holds what no run folder may: another class than the option's, or
            other mappings in lists than the option has.
    """
    arguments = {key: value for key, value in plain(node).items() if key != "weights"}
    way_out = "write an option of your own, model/NAME.yaml, in a folder given with --config-dir"
    own = _option(option)
    if _classes(arguments) != _classes(own):
        raise ConfigError(
            f"model={option} is built of other classes than its file says, which a run does not record; {way_out}"
        )
    try:
        record = NetworkRecord(option=option, classes=_classes(arguments), arguments=_flat(arguments))
        check_plain(record.arguments)
    except ValidationError as error:
        raise ConfigError(f"model: {first_fault(error)}, which a run does not record; {way_out}") from error
    except StoreError as error:
        raise ConfigError(f"model.{error}, as a run records it; {way_out}") from error
    try:
        same = plain(_built_of(own, record)) == arguments
    except OmegaConfBaseException:  # what tells how to build refers to keys that are not there
        same = False
    if not same:
        raise ConfigError(f"model={option} with these changes is not built again from what a run records; {way_out}")
    return record


def described(node: DictConfig) -> dict[str, Any]:
    """Returns what of a config of the group ``model`` makes a network what it is: its classes and arguments, by dotted names."""
    whole = {key: value for key, value in plain(node).items() if key not in ("weights", "pretrained")}
    return {**_classes(whole), **_flat(whole)}


def recorded_network(record: NetworkRecord) -> DictConfig:
    """Returns the config to build a recorded network from: the classes of our own option of that name, with the run's arguments.

    Raises:
        ConfigError: there is no such option in ``conf/`` or in the ``--config-dir`` folders, or it is for other classes; or the
            arguments are no names.
    """
    return _built_of(_option(record.option), record)


def _built_of(option: Mapping[str, Any], record: NetworkRecord) -> DictConfig:
    node = {key: value for key, value in option.items() if key != "weights"}
    if _classes(node) != record.classes:
        raise ConfigError(
            f"the run trained a network of {_listed(record.classes)}, model={record.option} is one of {_listed(_classes(node))}; give "
            "the --config-dir that it was trained with"
        )
    built = _acting(node)
    for name, value in record.arguments.items():
        *places, key = name.split(".")
        if not all(part and not part.startswith("_") for part in (*places, key)):
            raise ConfigError(f"model.{name} is no argument of a network; the run folder is not what zsda.train writes")
        inner = built
        for part in places:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"model.{name} is recorded beside a value of model.{part}; expected one of them")
        inner[key] = value
    return OmegaConf.create(built)


def _option(name: str) -> dict[str, Any]:
    way_out = f"if model={name} is your own, give its --config-dir"
    folder, _, leaf = name.rpartition("/")
    plainly = all(re.fullmatch(NAME, part) for part in name.split("/"))
    loader = GlobalHydra.instance().config_loader()
    known = loader.get_group_options(f"model/{folder}".rstrip("/")) if plainly else []
    if leaf not in known:
        known = loader.get_group_options("model")
        raise ConfigError(f"no option {name!r} of model; expected one of {', '.join(known)}; {way_out}")
    try:
        # Unresolved: it may refer to a world or to keys of the training, and its values are those of the run anyway.
        node = hydra.compose("eval", overrides=[f"model={name}"]).model
        return OmegaConf.to_container(node, resolve=False)  # type: ignore[return-value]  # a DictConfig gives a dict
    except HydraException as error:
        raise ConfigError(f"{config_error(error, 'eval')}; {way_out}") from error


def _classes(node: Mapping[str, Any], place: str = _TOP) -> dict[str, str]:
    found = {place: str(node[_CLASS])} if _CLASS in node else {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= _classes(value, f"{place}.{key}")
    return found


def _flat(node: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{place}{key}.")
        elif not str(key).startswith("_") and not _holds_nodes(value):
            found[f"{place}{key}"] = value
    return found


def _holds_nodes(value: Any) -> bool:  # noqa: ANN401 - a JSON value
    return isinstance(value, Mapping) or (isinstance(value, list) and any(map(_holds_nodes, value)))


def _acting(node: Mapping[str, Any]) -> dict[str, Any]:
    """Copies what tells Hydra how to build, and lists of such nodes, and nothing else."""
    kept = {k: v for k, v in node.items() if str(k).startswith("_") or (isinstance(v, list) and _holds_nodes(v))}
    inner = {key: _acting(value) for key, value in node.items() if isinstance(value, Mapping)}
    return {**kept, **{key: value for key, value in inner.items() if value}}


def _listed(classes: Mapping[str, str]) -> str:
    return ", ".join(dict.fromkeys(classes.values()))
