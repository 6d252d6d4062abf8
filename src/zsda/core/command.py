"""Runs a command under Hydra: its words, what to leave unsaid, and one line for each mistake."""

import difflib
import functools
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zsda.core.config import conf_dir
from zsda.core.errors import ConfigError, DoesNotFitError, StoppedError, StoreError, ZsdaError
from zsda.core.files import DISK_ERRORS, describe_os_error
from zsda.core.records import printable
from zsda.core.signals import ended_by_signals

_log = logging.getLogger(__name__)

TRACEBACK_VARIABLE = "ZSDA_TRACEBACK"

# Said by libraries about what is meant as it is, or about their own insides.
_EXPECTED_WARNINGS = (
    r"Checkpoint directory .* exists and is not empty",
    r".*does not have many workers which may be a bottleneck",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",
    r".*smaller than the logging interval",
    r".*your dataloader is not resumable",  # by Lightning's means; see training/checkpoints.py
    r"Total length of `list` across ranks is zero",  # nothing is watched
    r"Found \d+ module\(s\) in eval mode at the start of training",
    r".*will create \d+ worker processes in total",
    r"Corrupt EXIF data",  # of an image that is read all the same
    r".*pin_memory.* argument is set as true but no accelerator is found",
)


def command(name: str) -> Callable[[Callable[[DictConfig], float | None]], Callable[[], None]]:
    """Makes ``main(config)`` a command that is configured by ``conf/<name>.yaml`` and the command line.

    A `ZsdaError` or a mistake in the config becomes one line on stderr and the exit code of the error. With
    ``ZSDA_TRACEBACK=1`` in the environment the traceback is shown as well.
    """

    def decorate(main: Callable[[DictConfig], float | None]) -> Callable[[], None]:
        @functools.wraps(main)
        def run() -> None:
            show_traceback = os.environ.get(TRACEBACK_VARIABLE) == "1"
            os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise instead of printing and exiting
            failures: list[ZsdaError] = []
            left_out: list[ZsdaError | None] = []  # of each job of a sweep the reason, if it is
            task = functools.wraps(main)(functools.partial(_run_task, main, name, failures, left_out))
            try:
                with ended_by_signals(f"zsda.{name}"):
                    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
            except ZsdaError as error:
                failures.append(error)
            except (HydraException, OmegaConfBaseException) as error:
                failures.append(config_error(error, name))
            if left_out and all(left_out):
                failures += filter(None, left_out)
            if failures:
                _report(failures[0], name, show_traceback)

        return run

    return decorate


def _run_task(
    main: Callable[[DictConfig], float | None],
    name: str,
    failures: list[ZsdaError],
    left_out: list[ZsdaError | None],
    config: DictConfig,
) -> float | None:
    if process_rank() > 0:
        logging.getLogger("zsda").setLevel(logging.WARNING)  # one process tells for all
    for handler in logging.getLogger().handlers:
        handler.addFilter(_write_out)
    for message in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    try:
        result = main(config)
        left_out.append(None)
        return result
    except OSError as error:  # a full or read-only disk, which any library below may meet
        if error.errno not in DISK_ERRORS:
            raise
        failure: ZsdaError = StoreError(describe_os_error(error, Path(error.filename or "a file")))
        failure.__cause__ = error
    except StoppedError as error:
        _report(error, name, show_traceback=False)  # no failure of one job, after which a sweep would go on
    except ZsdaError as error:
        failure = error
    # A sweeper must see that a job failed; a single run reports without Hydra's own lines.
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        if isinstance(failure, DoesNotFitError):  # method=glob(*) names them all
            _log.warning("left out: %s", failure)
            left_out.append(failure)
            return None
        raise failure
    failures.append(failure)
    return None


def _write_out(record: logging.LogRecord) -> bool:
    """Lets a line pass, its control characters written out: it may tell what stands in a file of somebody else."""
    record.msg, record.args = printable(record.getMessage(), also="\n"), ()
    return True


def process_rank() -> int:
    """Returns the number of this process among those that torchrun, Slurm or Lightning started; 0 if it is the only one."""
    found = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((int(value) for value in found if value is not None), 0)


def _report(error: ZsdaError, name: str, show_traceback: bool) -> NoReturn:
    if show_traceback:
        raise error
    rank, said = process_rank(), printable(str(error))
    sys.stderr.write(f"rank {rank}: zsda.{name}: {said}\n" if rank else f"zsda.{name}: {said}\n")
    sys.exit(error.exit_code)


def config_error(error: Exception, name: str) -> ConfigError:
    """Turns what Hydra and OmegaConf say, often over several lines, into one line with a way out."""
    message = " ".join(str(error).split()).split(" Config search path")[0]
    unknown = re.match(r"Could not override '([^']+)'", message)
    if unknown:
        key = unknown.group(1)
        renamed = re.fullmatch(r"(method\.phases\.[^.]+)\.views", key)
        if renamed:
            return ConfigError(f"no option {key!r}; give {renamed.group(1)}.data.views=...")
        close = difflib.get_close_matches(key, _known_keys(name), n=3, cutoff=0.5)
        near = f"did you mean {', '.join(close)}?" if close else "see --help for all options"
        further = (
            f", or +{key}=... for an argument that its class takes but the config does not show" if "." in key else ""
        )
        return ConfigError(f"no option {key!r}; {near}{further}")
    several = re.match(r"Ambiguous value for argument '([^=]+)=", message)
    if several:
        key = several.group(1)
        return ConfigError(
            f"{key} has several values; a text with a comma needs quotes of its own, '{key}=\"...\"', a list brackets, {key}=[...], "
            "and a sweep -m"
        )
    if isinstance(error, OverrideParseException):
        key = error.override.partition("=")[0]
        return ConfigError(
            f"cannot read {error.override!r}; a value with commas, brackets or apostrophes needs quotes of its own, within those of "
            f"the shell: '{key}=\"...\"'"
        )
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


def choices() -> dict[str, str]:
    """Returns config group -> chosen option of this run, Hydra's own groups left out."""
    chosen = HydraConfig.get().runtime.choices
    return {str(group): str(option) for group, option in chosen.items() if not str(group).startswith("hydra/")}


def given(group: str) -> bool:
    """Tells whether the command line chose an option of a group or set a value in it."""
    words = [word.lstrip("+~") for word in HydraConfig.get().overrides.task]
    return any(word.startswith((f"{group}=", f"{group}.")) for word in words)


def own_words(*without: str) -> list[str]:
    """Returns the words of the command line, folders of configs included, for a command that goes on from this one.

    Args:
        without: keys whose words are left out, each with everything below it.
    """
    words = HydraConfig.get().overrides.task
    kept = [word for word in words if not re.match(rf"[+~]*({'|'.join(map(re.escape, without))})[.=]", word)]
    return [*own_folders(), *kept]


def own_folders() -> list[str]:
    """Returns the words of the command line that name folders of configs."""
    folders = [s.path for s in HydraConfig.get().runtime.config_sources if s.provider == "command-line"]
    return [word for folder in folders for word in ("--config-dir", folder)]
