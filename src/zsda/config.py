"""The boundary between YAML and objects: finds ``conf/``, runs a command under Hydra, builds objects from its config.

Only files of ``conf/`` (or of a ``--config-dir`` that the user names) may carry a ``_target_``.
"""

import difflib
import functools
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zsda.errors import ConfigError, StoreError, ZsdaError
from zsda.runs import DISK_ERRORS, describe_os_error

_log = logging.getLogger(__name__)

TRACEBACK_VARIABLE = "ZSDA_TRACEBACK"

# Said by libraries about what is meant as it is, or about their own insides.
_EXPECTED_WARNINGS = (
    r"Checkpoint directory .* exists and is not empty",
    r".*does not have many workers which may be a bottleneck",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",
    r".*smaller than the logging interval",
    r".*will create \d+ worker processes in total",
    r".*pin_memory.* argument is set as true but no accelerator is found",
)


def conf_dir() -> Path:
    """Returns the folder of configs: inside the package when installed from a wheel, else that of the checkout."""
    package = Path(__file__).resolve().parent
    return next(folder for folder in (package / "conf", package.parents[1] / "conf") if folder.is_dir())


def command(name: str) -> Callable[[Callable[[DictConfig], float | None]], Callable[[], None]]:
    """Makes ``main(config)`` a command that is configured by ``conf/<name>.yaml`` and the command line.

    A `ZsdaError` or a mistake in the config becomes one line on stderr and the exit code of the error. With
    ``ZSDA_TRACEBACK=1`` in the environment the traceback is shown as well.
    """

    def decorate(main: Callable[[DictConfig], float | None]) -> Callable[[], None]:
        failures: list[ZsdaError] = []

        @functools.wraps(main)
        def task(config: DictConfig) -> float | None:
            if process_rank() > 0:
                logging.getLogger("zsda").setLevel(logging.WARNING)  # one process tells for all
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            try:
                return _say_disk_errors(main, config)
            except ZsdaError as error:
                # A sweeper must see that a job failed; a single run reports without Hydra's own lines.
                if HydraConfig.get().mode == RunMode.MULTIRUN:
                    raise
                failures.append(error)
                return None

        @functools.wraps(main)
        def run() -> None:
            show_traceback = os.environ.get(TRACEBACK_VARIABLE) == "1"
            os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise instead of printing and exiting
            try:
                hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
            except ZsdaError as error:
                failures.append(error)
            except (HydraException, OmegaConfBaseException) as error:
                failures.append(_config_error(error, name))
            if failures:
                _report(failures[0], name, show_traceback)

        return run

    return decorate


def _say_disk_errors(main: Callable[[DictConfig], float | None], config: DictConfig) -> float | None:
    """Calls ``main``; a full or read-only disk, which any library below may meet, becomes a `StoreError`."""
    try:
        return main(config)
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        raise StoreError(describe_os_error(error, Path(error.filename or "a file"))) from error


def process_rank() -> int:
    """Returns the number of this process among those that torchrun, Slurm or Lightning started; 0 if it is the only one."""
    found = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((int(value) for value in found if value is not None), 0)


def _report(error: ZsdaError, name: str, show_traceback: bool) -> None:
    if show_traceback:
        raise error
    rank = process_rank()
    sys.stderr.write(f"rank {rank}: zsda.{name}: {error}\n" if rank else f"zsda.{name}: {error}\n")
    sys.exit(error.exit_code)


def _config_error(error: Exception, name: str) -> ConfigError:
    """Turns what Hydra and OmegaConf say, often over several lines, into one line with a way out."""
    message = " ".join(str(error).split()).split(" Config search path")[0]
    unknown = re.match(r"Could not override '([^']+)'", message)
    if unknown:
        key = unknown.group(1)
        close = difflib.get_close_matches(key, _known_keys(name), n=3, cutoff=0.5)
        near = f"did you mean {', '.join(close)}?" if close else "see --help for all options"
        further = (
            f", or +{key}=... for an argument that its class takes but the config does not show" if "." in key else ""
        )
        return ConfigError(f"no option {key!r}; {near}{further}")
    if isinstance(error, OmegaConfBaseException) and "Missing mandatory value" in message:
        key = getattr(error, "full_key", None) or message.rsplit(" ", 1)[-1]
        return ConfigError(f"{key} has no value; give {key}=...")
    return ConfigError(message)


def _known_keys(name: str) -> list[str]:
    def walk(node: Any, prefix: str) -> list[str]:  # noqa: ANN401 - a YAML tree
        if not isinstance(node, dict):
            return []
        keys = [f"{prefix}{key}" for key in node]
        return keys + [deeper for key, child in node.items() for deeper in walk(child, f"{prefix}{key}.")]

    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return walk(OmegaConf.to_container(hydra.compose(name), resolve=False), "")


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
        raise ConfigError(" ".join(str(error).split())) from error


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolves a config to dicts, lists and plain values."""
    return OmegaConf.to_container(config, resolve=True)  # type: ignore[return-value]  # a DictConfig gives a dict


def seed_of(config: DictConfig) -> int:
    """Returns the seed.

    Raises:
        ConfigError: it is no whole number that torch and NumPy take.
    """
    if not isinstance(config.seed, int) or not 0 <= config.seed < 2**32:
        raise ConfigError(f"seed={config.seed}; expected a whole number from 0 to 2**32 - 1")
    return config.seed


def given(group: str) -> bool:
    """Tells whether the command line chose an option of a group or set a value in it."""
    words = [word.lstrip("+~") for word in HydraConfig.get().overrides.task]
    return any(word.startswith((f"{group}=", f"{group}.")) for word in words)


def prepare_world(config: DictConfig) -> None:
    """Lets the chosen world put its data on disk where it makes them itself."""
    if config.world.prepare is not None:
        build(config.world.prepare)


def build_network(node: DictConfig, pretrained: bool = True) -> Any:  # noqa: ANN401 - an nn.Module, but torch is not imported here
    """Builds a network from its config.

    A key ``weights`` names a file for the command and is no argument of the constructor; with such a file, or where weights
    are loaded anyway, nothing is fetched.

    Args:
        node: a config of the group ``model``.
        pretrained: whether a key ``pretrained`` may stand as it is.
    """
    arguments = dict(plain(node))
    weights = arguments.pop("weights", None)
    if "pretrained" in arguments and (weights is not None or not pretrained):
        arguments["pretrained"] = False
    return build(OmegaConf.create(arguments))


def trainer_factory(node: DictConfig) -> Callable[..., Any]:
    """Returns what makes Lightning trainers of the chosen kind.

    Raises:
        ConfigError: a sweep over a strategy that starts processes by itself, or a device that is not there.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    launches = node.get("strategy", "auto") != "auto" and node.devices != 1
    if launches and HydraConfig.get().mode == RunMode.MULTIRUN and "LOCAL_RANK" not in os.environ:
        raise ConfigError(
            "-m with trainer.strategy over several devices would start the whole sweep once per device; use trainer.devices=1, "
            "torchrun, or hydra/launcher=submitit_slurm"
        )
    if node.precision == "fast":
        node.precision = _precision(node)  # so that a run records what it was, and is not continued in another one
    make = build(node)

    def guarded(**arguments: Any) -> Any:  # noqa: ANN401 - a Trainer, but Lightning is imported late
        try:
            return make(**arguments)
        except (MisconfigurationException, ValueError, TypeError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"trainer: {reason}; trainer=auto takes what the machine has") from error

    # Once for nothing, so that a missing device is said before anything is begun.
    guarded(logger=False, enable_checkpointing=False)
    return guarded


def _precision(node: DictConfig) -> str:
    """Returns what ``precision=fast`` means on the device that the trainer will take."""
    import torch

    from zsda.hardware import is_fast_in_bf16

    on_gpu = node.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if is_fast_in_bf16(torch.device("cuda" if on_gpu else "cpu")) else "32-true"


def choices() -> dict[str, str]:
    """Returns config group -> chosen option of this run, Hydra's own groups left out."""
    chosen = HydraConfig.get().runtime.choices
    return {str(group): str(option) for group, option in chosen.items() if not str(group).startswith("hydra/")}


def recorded_group(name: str, group: str, option: str, values: Mapping[str, Any]) -> DictConfig:
    """Returns a group as a run recorded it: our own file of that option, with the run's plain values.

    What stands in a run folder is data, so a ``_target_`` is never taken from there.

    Args:
        name: the command.
        group: e.g. ``model``.
        option: the option that was chosen.
        values: what its keys were set to.

    Raises:
        ConfigError: no such option in ``conf/`` or in the ``--config-dir`` folders.
    """
    try:
        node = hydra.compose(name, overrides=[f"{group}={option}"])[group]
    except HydraException as error:
        message = _config_error(error, name)
        raise ConfigError(f"{message}; if {group}={option} is your own, give its --config-dir") from error
    known = {key: value for key, value in values.items() if key in node and not key.startswith("_")}
    return OmegaConf.merge(node, known)  # type: ignore[return-value]  # a DictConfig and a dict give a DictConfig
