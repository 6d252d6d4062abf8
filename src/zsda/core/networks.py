"""The networks that a command line names: by a run, or by a file of weights and ``model=``."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import given
from zsda.core.config import build_network
from zsda.core.errors import ConfigError, StoreError
from zsda.core.files import digest, file_digest, to_json
from zsda.core.recording import described, recorded_network
from zsda.core.resources import located
from zsda.core.runs import RunFolder, latest_finished_run, matching_runs
from zsda.core.trained import TrainedNetwork, check_weights

_log = logging.getLogger(__name__)

_SUFFIXES = (".safetensors", ".tar", ".ckpt", ".pth", ".pt", ".bin")


def network_of_run(
    run: RunFolder,
    phase: str | None = None,
    size: Sequence[int] | None = None,
    out: Path | None = None,
    purpose: str = "eval",
) -> TrainedNetwork:
    """Returns what a run trained, as it recorded it.

    Args:
        run: a run of ``zsda.train``.
        phase: one of its phases; None is the last.
        size: height, width that the network is shown; None is what it was trained at.
        out: folder for the results; None is the one named after the purpose in that of the run.
        purpose: what the network is wanted for.

    Raises:
        StoreError: there is no such run or phase, or it is not finished.
        ConfigError: its network is an option that is not among the configs, or the size is no height and width.
    """
    folder = run.finished_phase(phase)
    header = run.header()
    node = recorded_network(header.network)
    part = "" if folder.path.name == run.phase_names()[-1] else folder.path.name
    return TrainedNetwork(
        title=f"{run.path.name}/{part}".rstrip("/"),
        weights=folder.weights,
        size=list(size or header.size),
        out=out or run.path / purpose / part,
        build=partial(build_network, node, pretrained=False),
        epochs=folder.kept(),
        classes=header.classes.model_dump(),
        source=header.source,
        digests=folder.digests(),
        network=described(node),
    )


def chosen_network(config: DictConfig, purpose: str) -> TrainedNetwork:
    """Returns the network that a command line names.

    Args:
        config: ``ckpt``, a file of weights, also one of the package, with ``model`` and ``classes``, what it is for; or
            ``run``, the name of a run, and ``phase``; with none of them, the run that was finished last is taken. ``size``,
            ``out`` and ``runs_root`` as for `network_of_run`.
        purpose: what the network is wanted for.

    Raises:
        StoreError: there is no such run or phase, or it is not finished.
        ModelError: there is no such file.
        ConfigError: ``model`` or ``classes`` is given for a run, or a run for a file, or the size is no height and width.
    """
    runs_root, out = Path(config.runs_root), None if config.out is None else Path(config.out)
    if config.ckpt is None:
        _refuse_of_files()
        run = latest_finished_run(runs_root) if config.run is None else RunFolder(runs_root / str(config.run))
        return network_of_run(run, config.phase, config.size, out, purpose)
    if config.run is not None or config.phase is not None:
        raise ConfigError("ckpt=FILE is no part of a run; give either ckpt= or run= and phase=")
    weights = check_weights(located(config.ckpt))
    build = partial(build_network, config.model, pretrained=False)
    network = described(config.model)
    place = out or runs_root / _folder_name(weights, network) / purpose
    classes = OmegaConf.to_container(config.classes) if OmegaConf.is_dict(config.classes) else config.classes
    size = list(config.size or config.world.size)
    return TrainedNetwork(str(weights), weights, size, place, build, classes=classes, network=network)


def matching_networks(config: DictConfig, purpose: str) -> list[TrainedNetwork]:
    """Returns the networks of all runs that the patterns of a command line match; those without one are named and passed over.

    Args:
        config: ``run``, a pattern or a list; ``phase``, ``size``, ``out`` and ``runs_root`` as for `network_of_run`.
        purpose: what the networks are wanted for.

    Raises:
        StoreError: no run matches, or none that does is finished.
        ConfigError: ``model`` or ``classes`` is given, or the size is no height and width.
    """
    _refuse_of_files()
    patterns = [str(name) for name in (config.run if OmegaConf.is_list(config.run) else [config.run])]
    networks = []
    for run in matching_runs(Path(config.runs_root), patterns):
        out = None if config.out is None else Path(config.out) / run.path.name
        try:
            networks.append(network_of_run(run, config.phase, config.size, out, purpose))
        except (StoreError, ConfigError) as error:  # of what the run recorded
            _log.warning("skipped: %s", error)
    if not networks:
        raise StoreError(f"none of the runs that match {', '.join(patterns)} could be used; see above")
    return networks


def _refuse_of_files() -> None:
    for key in ("model", "classes"):
        if given(key):
            raise ConfigError(f"a run brings its own network and classes; {key}= goes with ckpt=FILE only")


def layout_network(
    layout: DictConfig | None, model: DictConfig, size: Sequence[int], runs_root: Path
) -> TrainedNetwork | None:
    """Returns the network that scores the layout of edited images; None where neither a run nor a file is named.

    Args:
        layout: ``run``, the name of a run, best one that saw the source alone, or ``ckpt``, a file of weights; a run wins.
        model: the network that the file is for.
        size: height, width that this network sees; a run brings its own.
        runs_root: where runs lie.

    Raises:
        StoreError: there is no such run, or it is not finished.
    """
    if layout is None or (layout.run is None and layout.ckpt is None):
        return None
    if layout.run is not None:
        return network_of_run(RunFolder(runs_root / str(layout.run)))
    weights = located(layout.ckpt)
    return TrainedNetwork(str(weights), weights, list(size), runs_root, partial(build_network, model, pretrained=False))


def _folder_name(weights: Path, network: Mapping[str, Any]) -> str:
    """Returns the file's name with some of a digest of weights and network: published files of all domains are called the same."""
    name = weights.name
    while name.endswith(_SUFFIXES):
        name = Path(name).stem
    return f"{name}_{digest(file_digest(weights).encode() + to_json(network))[:8]}"


def with_epochs(networks: Sequence[TrainedNetwork]) -> list[TrainedNetwork]:
    """Returns those of which more than the last epoch was kept; the others are named in a warning.

    Raises:
        StoreError: none is left.
    """
    lonely = [f"{network.title} kept only its last epoch" for network in networks if len(network.epochs) == 1]
    if len(lonely) == len(networks):
        raise StoreError(f"{'; '.join(lonely[:4])}; train with keep=all to compare epochs")
    for message in lonely:
        _log.warning("skipped: %s; train it with keep=all to compare epochs", message)
    return [network for network in networks if len(network.epochs) > 1]
