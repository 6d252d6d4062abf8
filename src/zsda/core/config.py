"""The boundary between YAML and objects: finds ``conf/`` and builds objects from a config.

Only files of ``conf/`` (or of a ``--config-dir`` that the user names) may carry a ``_target_``.
"""

import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from zsda.core.errors import ConfigError, DoesNotFitError, ZsdaError
from zsda.core.limits import cores
from zsda.core.reasons import reason
from zsda.core.values import FLAG, POSITIVE, shown

# Where Lightning looks for hpc_ckpt_*, which it would load in place of a phase's own checkpoint.
_NO_FOLDER = os.devnull
_NOT_LIGHTNINGS = ("logger", "num_workers", "cache_gb", "oversubscribe")
_STARTED_BY_OTHERS = {"LOCAL_RANK", "TORCHELASTIC_RUN_ID", "SLURM_PROCID"}
_MOST_WORKERS = 4  # that load images, for each core
_ENOUGH_WORKERS = 4
_FIND_CLASSES = "zsda.data.classes.find_classes"  # by its name, as in a config: nothing here imports data
_GIVEN = ("data", "optimizer", "schedule")  # what a run gives its phases
_CHOOSES = {"zsda.data.aligned.ViewsData": "views", "zsda.data.unpaired.UnpairedData": "parts"}
"""What a phase chooses of the data of a class."""


def _outputs(of_the_19: int, *, _root_: DictConfig) -> int:
    """Resolves ``${outputs:N}``: N where the 19 classes are told apart, as is published, else as many as there are classes."""
    number = len(class_set(_root_))
    return of_the_19 if number == 19 else number


def class_set(config: DictConfig) -> Any:  # noqa: ANN401 - a ClassSet, but nothing here imports data
    """Returns the classes that a run tells apart.

    Raises:
        ConfigError: ``classes`` is no set of classes.
    """
    chosen = OmegaConf.select(config, "classes", default=19)
    classes = OmegaConf.to_container(chosen, resolve=True) if OmegaConf.is_config(chosen) else chosen
    return hydra.utils.get_method(_FIND_CLASSES)(classes)


OmegaConf.register_new_resolver("outputs", _outputs, replace=True)


def conf_dir() -> Path:
    """Returns the folder of configs: inside the package when installed from a wheel, else that of the checkout."""
    package = Path(__file__).resolve().parents[1]
    return next(folder for folder in (package / "conf", package.parents[1] / "conf") if folder.is_dir())


def build(node: DictConfig, **arguments: Any) -> Any:  # noqa: ANN401 - whatever _target_ names
    """Instantiates a config node; below this call there are only objects and plain values.

    Raises:
        ZsdaError: the one that the constructor raised.
        ConfigError: the constructor does not take these arguments.
    """
    try:
        return hydra.utils.instantiate(node, **arguments, _convert_="all")
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ZsdaError):
                raise cause from error
            cause = cause.__cause__
        raise _not_built(error) from error


def _not_built(error: InstantiationException) -> ConfigError:
    message = " ".join(str(error).split())
    target, key = (re.search(pattern, message) for pattern in (r"target '([\w.]+)'", r"full_key: ([\w.]+)$"))
    unknown = re.search(r"unexpected keyword argument '(\w+)'", message)
    place = key.group(1) if key else ""
    if unknown and target:
        name = f"{place}.{unknown.group(1)}".lstrip(".")
        return ConfigError(f"no option {name}: {target.group(1).rpartition('.')[2]} does not take it")
    return ConfigError(f"{place}: {reason(error.__cause__ or error)}".removeprefix(": "))


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolves a config to dicts, lists and plain values."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]  # a DictConfig gives a dict


def build_domain(config: DictConfig) -> Any:  # noqa: ANN401 - a Domain, but its room is above this one
    """Builds the domain that the command line chose.

    Raises:
        ConfigError: none was chosen, or one without a prompt.
    """
    if "domain" not in config:
        options = sorted(path.stem for path in (conf_dir() / "domain").glob("*.yaml"))
        raise ConfigError(f"which domain? give domain={', '.join(options)}")
    if OmegaConf.is_missing(config.domain, "prompt"):
        raise ConfigError(f'domain={config.domain.name} needs domain.prompt="...", e.g. "make it dusk"')
    return build(config.domain)


def build_source(config: DictConfig) -> Any:  # noqa: ANN401 - a SegmentationDataset, but its room is above this one
    """Builds the split of the source that is edited, with the classes of its own.

    Raises:
        ConfigError: no generated set can be made of it.
        DataError: it is not there, or not as it must be.
    """
    said, option = config.data.source, HydraConfig.get().runtime.choices["data"]
    if "split" not in said:
        raise ConfigError(f"data={option}: no split of it can be edited; give data=cityscapes, or data=folder")
    return build(OmegaConf.create({**{key: said[key] for key in said if key != "classes"}, "split": config.split}))


def build_recipes(config: DictConfig) -> list[Any]:
    """Builds the recipes that the command line chose.

    Raises:
        ConfigError: none was chosen, two of one name, or one with values that make no sense.
    """
    if not config.get("recipes"):
        options = sorted(path.stem for path in (conf_dir() / "recipe").glob("*.yaml"))
        raise ConfigError(f"which recipe? give recipe={', '.join(options)}, or a list of them")
    recipes = list(build(config.recipes).values())
    names = [recipe.name for recipe in recipes]
    if len(set(names)) < len(names):
        raise ConfigError(f"two recipes are called {max(names, key=names.count)}, and would make one set; expected one")
    return recipes


def check_fits(config: DictConfig) -> None:
    """Refuses a method whose phases choose what the data do not have, before anything is made of either.

    Raises:
        DoesNotFitError: one does.
    """
    outputs = config.model.get("num_classes")
    needed = len(class_set(config))
    if isinstance(outputs, int) and outputs < needed:
        raise ConfigError(f"model.num_classes={outputs}; expected at least {needed}, one for each class")
    for name, phase in config.method.phases.items():
        _check_is_whole(config, str(name), phase)
        own = phase.get("data") or {}
        asked = next((word for word in _CHOOSES.values() if word in own), None)
        has = _CHOOSES.get(own.get("_target_", config.data.get("_target_")))
        if None not in (asked, has) and asked != has:
            expected = {
                "parts": "unlabelled images beside the source; give data=NAME_unpaired unlabelled=NAME, or experiment=hiast_...",
                "views": "views of labelled scenes; give data=cityscapes",
            }
            chosen = HydraConfig.get().runtime.choices
            raise DoesNotFitError(
                f"method={chosen['method']} does not fit data={chosen['data']}: its phase {name!r} expects {expected[str(asked)]}"
            )


def _check_is_whole(config: DictConfig, name: str, phase: Any) -> None:  # noqa: ANN401 - whatever stands there
    """Refuses a phase of which a part is set, but which the method does not have."""
    if OmegaConf.is_dict(phase) and "_target_" in phase:
        return
    chosen = HydraConfig.get().runtime.choices
    others = [str(key) for key, one in config.method.phases.items() if OmegaConf.is_dict(one) and "_target_" in one]
    set_by = f"experiment={chosen['experiment']}" if chosen.get("experiment") not in (None, "null") else "a word"
    raise DoesNotFitError(
        f"method={chosen['method']} has no phase {name!r}, of which {set_by} sets a part, but {', '.join(others)}; choose the method "
        "that this is made for"
    )


def build_phases(config: DictConfig, workers: int) -> list[Any]:
    """Builds the phases of a method, each with data, optimiser and schedule of its own if its kind takes them.

    What a phase does not say of them itself is that of the run. One with a ``_target_`` stands by itself.

    Args:
        config: of ``zsda.train``.
        workers: processes that load images.

    Raises:
        ZsdaError: what a constructor raised.
    """
    return [build_phase(config, str(name), workers) for name in config.method.phases]


def build_phase(config: DictConfig, name: str, workers: int) -> Any:  # noqa: ANN401 - a Phase, but its room is above this one
    """Builds one of the phases; see `build_phases`."""
    given = {key: plain(config[key]) for key in _GIVEN}
    given["data"].pop("file", None)  # which says what the source is, and no more
    own = dict(plain(config.method.phases[name]))
    taken = inspect.signature(hydra.utils.get_class(own["_target_"])).parameters
    for key in (key for key in _GIVEN if key in taken):
        said = own.get(key) or {}
        own[key] = said if "_target_" in said else OmegaConf.to_container(OmegaConf.merge(given[key], said))
    if "data" in taken:
        own["data"]["num_workers"] = workers
        if own["data"].get("_target_") in _CHOOSES and own["data"].get("watch") == []:
            own["data"]["validation"] = None  # which need not be there
        if "cache" in own["data"]:
            own["data"]["cache"] = cache_limit(own["data"]["cache"], config)
    return build(OmegaConf.create(own), name=name)


def cache_limit(asked: object, config: DictConfig) -> float | None:
    """Returns how many GB decoded images may take on the disk; None where ``asked``, the value of ``data.cache``, is false.

    Raises:
        ConfigError: it is neither true nor false, or the limit no positive number.
    """
    FLAG.check("data.cache", asked)
    POSITIVE.check("machine.cache_gb", config.machine.cache_gb)
    return config.machine.cache_gb if asked else None


def build_network(node: DictConfig, pretrained: bool = True) -> Any:  # noqa: ANN401 - an nn.Module, but torch is not imported here
    """Builds a network from its config.

    A key ``weights`` names a file for the command and is no argument of the constructor; with such a file, or where weights
    are loaded anyway, nothing is fetched.

    Args:
        node: a config of the group ``model``.
        pretrained: whether a key ``pretrained`` may stand as it is.
    """
    arguments = plain(node)
    weights = arguments.pop("weights", None)
    if "pretrained" in arguments and (weights is not None or not pretrained):
        arguments["pretrained"] = False
    return build(OmegaConf.create(arguments))


@dataclass(frozen=True)
class Machine:
    """Where a command runs.

    Attributes:
        trainer: makes Lightning trainers of the chosen kind.
        precision: of them, as Lightning calls it.
        workers: how many processes load images.
    """

    trainer: Callable[..., Any]
    precision: Any
    workers: int


def build_machine(config: DictConfig) -> Machine:
    """Builds what the groups ``trainer`` and ``machine`` say.

    ``trainer`` is the class, and those of its arguments that change what is computed; its precision ``fast`` is what suits the
    device. ``machine`` has its other arguments, and what is none of them: the loggers, which a training makes, the processes that load
    images, null for one on each core, four at most, and the limit of the cache. With ``profile`` trainers say where the time went.

    Raises:
        ConfigError: a sweep over a strategy that starts processes by itself, a device that is not there, or a number of processes
            that is none.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    trainer, machine = config.trainer, config.machine
    misplaced = sorted(set(trainer) & set(machine))
    if misplaced:
        raise ConfigError(f"trainer.{misplaced[0]} says where it runs; give machine.{misplaced[0]}=... instead")
    workers = machine.num_workers
    if workers is None:
        workers = min(cores(), _ENOUGH_WORKERS)
    check_processes(machine)
    launches = machine.strategy != "auto" and machine.devices != 1
    if launches and HydraConfig.get().mode == RunMode.MULTIRUN and "LOCAL_RANK" not in os.environ:
        raise ConfigError(
            "-m with machine.strategy over several devices would start the whole sweep once per device; use machine.devices=1, "
            "torchrun, or hydra/launcher=submitit_slurm"
        )
    precision = _fast(machine.accelerator) if trainer.precision == "fast" else trainer.precision
    where = {key: value for key, value in plain(machine).items() if key not in _NOT_LIGHTNINGS}
    make = build(OmegaConf.create({**where, **plain(trainer), "precision": precision}))

    def guarded(plugins: Sequence[Any] = (), **arguments: Any) -> Any:  # noqa: ANN401 - a Trainer, but Lightning is imported late
        try:
            profiler = _profiler() if config.get("profile") else None
            return make(plugins=[*plugins, *_slurm()], default_root_dir=_NO_FOLDER, profiler=profiler, **arguments)
        except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
            raise ConfigError(
                f"trainer: {reason(error, most=1000)}; trainer=auto takes what the machine has"
            ) from error

    # Once for nothing, so that a missing device is said before anything is begun.
    guarded(logger=False, enable_checkpointing=False)
    return Machine(guarded, precision, workers)


def check_processes(machine: DictConfig) -> None:
    """Refuses more processes than the cores of this machine can run, which would fill its memory before they end.

    Those of a CPU, that is; how many GPUs there are, Lightning knows.

    Args:
        machine: the node of this name, its ``devices`` as Lightning takes them.

    Raises:
        ConfigError: there would be more than one for each core, or more than some for each core that load images, and
            ``oversubscribe`` is false.
    """
    if machine.get("oversubscribe"):
        return
    # Where somebody else starts the processes, this one has cores of its own.
    processes = 1 if _STARTED_BY_OTHERS & os.environ.keys() else _count(machine.devices)
    unless = f"of which there are {cores()} here, or machine.oversubscribe=true"
    if processes > cores() and _is_cpu(machine.accelerator):
        raise ConfigError(
            f"machine.devices={shown(plain(machine)['devices'])} on a CPU; expected at most one process for each core, {unless}"
        )
    loaders = processes * (machine.num_workers or 0)
    if loaders > _MOST_WORKERS * cores():
        raise ConfigError(
            f"machine.num_workers={machine.num_workers} for {processes} process{'es' * (processes > 1)}; expected at most "
            f"{_MOST_WORKERS} that load images for each core, {unless}"
        )


def _count(devices: Any) -> int:  # noqa: ANN401 - a number, a list, or a text of either
    if OmegaConf.is_list(devices):
        return len(devices)
    numbers = [int(number) for number in str(devices).split(",") if re.fullmatch(r" *-?[0-9]{1,9} *", number)]
    return max(1, numbers[0] if len(numbers) == 1 else len(numbers))


def _is_cpu(accelerator: str) -> bool:
    """Tells whether Lightning would run on the CPU, of ``auto`` only once torch is loaded anyway."""
    if accelerator != "auto" or "torch" not in sys.modules:
        return accelerator == "cpu"
    import torch

    return not torch.accelerator.is_available()


def _profiler() -> Any:  # noqa: ANN401 - a Profiler of Lightning, which is imported late
    from zsda.core.profiling import TimeSpent

    return TimeSpent()


def _slurm() -> list[Any]:
    """Returns Lightning's plugin for a job of Slurm, without its requeueing, which resumes any training of the working folder."""
    from lightning.pytorch.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    in_job = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if in_job else []


def _fast(accelerator: str) -> str:
    import torch

    from zsda.core.precision import is_fast_in_bf16

    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if is_fast_in_bf16(torch.device("cuda" if on_gpu else "cpu")) else "32-true"
