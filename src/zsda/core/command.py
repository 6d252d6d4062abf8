"""Runs a command under Hydra: its words, what to leave unsaid, and one line for each mistake."""

import difflib
import functools
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zsda.core.config import check_processes, conf_dir
from zsda.core.errors import (
    ConfigError,
    DoesNotFitError,
    SeveralErrors,
    StoppedError,
    StoreError,
    ZsdaError,
    lines_of,
)
from zsda.core.files import DISK_ERRORS, describe_os_error
from zsda.core.limits import most_pixels
from zsda.core.options import check_options, check_together
from zsda.core.own_configs import unreadable
from zsda.core.own_data import take_own_data
from zsda.core.reasons import reason
from zsda.core.records import printable
from zsda.core.signals import end_with_parent, ended_by_signals
from zsda.core.words import ready, shared_keys

_log = logging.getLogger(__name__)

_LOADER_GONE = (
    "killed by signal",
    "exited unexpectedly",
    "process pool was terminated abruptly",
    "out of shared memory",
)
_TOO_MANY_FILES = ("Too many open files", "received 0 items of ancdata")
_FEWER = "give a smaller machine.num_workers=, or 0"
_NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "Unable to allocate")

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
    # of an image that is read all the same
    r"(Corrupt EXIF data|Tag data larger than file|Truncated File Read|Image appears to be a malformed MPO|Palette images with Trans)",
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
            end_with_parent()
            jobs = _Jobs()
            task = functools.wraps(main)(functools.partial(_run_task, main, name, jobs))
            try:
                sys.argv[1:] = ready(sys.argv[1:], name)
                with ended_by_signals(f"zsda.{name}"):
                    hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=name)(task)()
            except ZsdaError as error:
                jobs.fail(error)
            except (HydraException, OmegaConfBaseException) as error:
                jobs.fail(config_error(error, name))
            except Exception as error:
                if jobs.begun or _is_of_another_process(error):
                    for one in jobs.failures:
                        _tell(one, name)
                    raise
                jobs.fail(_of_the_machine(error) or unreadable(error, sys.argv[1:]))
            failure = jobs.failure()
            if failure is not None:
                _report(failure, name, show_traceback)

        return run

    return decorate


@dataclass
class _Jobs:
    """How the jobs of a command line ended; without ``-m`` there is one.

    Attributes:
        ended: number of those that were done.
        left_out: why the method of a job does not fit its data, as of some of ``method=glob(*)``.
        failures: why others failed.
        begun: whether there was one here, whose configs were put together.
    """

    begun: bool = False
    ended: int = 0
    left_out: list[ZsdaError] = field(default_factory=list)
    failures: list[ZsdaError] = field(default_factory=list)

    def fail(self, error: ZsdaError) -> None:
        """Notes why one failed, if that is not known: Hydra raises the first failure of a sweep again."""
        if not any(error in (failure, failure.__cause__) for failure in self.failures):
            self.failures.append(error)

    def failure(self) -> ZsdaError | None:
        """Returns what the command ends with; None if nothing failed."""
        left_out = list({str(one): one for one in self.left_out}.values())
        failed = self.failures or ([] if self.ended else left_out)
        return failed[0] if len(failed) == 1 else SeveralErrors(failed) if failed else None


def _run_task(main: Callable[[DictConfig], float | None], name: str, jobs: _Jobs, config: DictConfig) -> float | None:
    if process_rank() > 0:
        logging.getLogger("zsda").setLevel(logging.WARNING)  # one process tells for all
    for handler in logging.getLogger().handlers:
        handler.addFilter(_write_out)
    for message in _EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    jobs.begun = True
    try:
        most_pixels()  # here, and not first in a worker, whose errors are told over many lines
        check_options(config, name, HydraConfig.get().overrides.task)
        if "machine" in config:
            check_processes(config.machine)
        take_own_data(config, str(HydraConfig.get().job.config_name), HydraConfig.get().overrides.task)
        check_together(config)  # sizes of the user's own data among it
        result = main(config)
        jobs.ended += 1
        return result
    except StoppedError as error:
        _report(error, name, show_traceback=False)  # no failure of one job, after which a sweep would go on
    except ZsdaError as error:
        failure = error
    except (OSError, MemoryError, RuntimeError) as error:  # a full disk or memory, which any library below may meet
        found = _of_the_machine(error)
        if found is None:
            raise
        found.__cause__, failure = error, found
    if HydraConfig.get().mode != RunMode.MULTIRUN:
        jobs.fail(failure)
        return None
    if isinstance(failure, DoesNotFitError):  # method=glob(*) names them all
        _log.warning("left out: %s", failure)
        jobs.left_out.append(failure)
        return None
    for one in lines_of(failure):
        told = ZsdaError(f"{_job()}: {one}")
        told.exit_code, told.__cause__ = failure.exit_code, failure
        _log.error("failed: %s", told)
        jobs.failures.append(told)
    raise failure  # a sweeper must see that a job failed; a single run reports without Hydra's own lines


def _job() -> str:
    """Returns which job of a sweep this is: its number, and what it has that not all have."""
    given, shared = HydraConfig.get(), shared_keys(sys.argv[1:])
    own = [word for word in given.overrides.task if word.partition("=")[0] not in shared]
    return f"job {given.job.num} ({' '.join(own)})"


def _is_of_another_process(error: Exception) -> bool:
    """Tells whether a job failed elsewhere, as those do that Slurm runs, and its launcher handed the error over."""
    return any(frame.name == "return_value" for frame in traceback.extract_tb(error.__traceback__))


def _of_the_machine(error: Exception) -> ZsdaError | None:
    """Returns what a disk or a memory that is full, or a path that is none, comes to; None for other errors."""
    said = str(error)
    if any(sign in said for sign in _LOADER_GONE):
        return ConfigError(
            f"a process that loads images was ended, mostly for want of memory ({reason(error)}); {_FEWER}"
        )
    if any(sign in said for sign in _TOO_MANY_FILES):
        return ConfigError(f"too many files are open at once ({reason(error)}); raise ulimit -n, or {_FEWER}")
    if isinstance(error, MemoryError) or any(sign in said for sign in _NO_MEMORY):
        return ConfigError(f"not enough memory ({reason(error)}); choose a smaller batch_size or size")
    if isinstance(error, OSError):
        known = error.errno in DISK_ERRORS
        return StoreError(describe_os_error(error, Path(error.filename or "a file"))) if known else None
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
    _tell(error, name)
    sys.exit(error.exit_code)


def _tell(error: ZsdaError, name: str) -> None:
    rank = process_rank()
    for one in lines_of(error):
        said = printable(str(one))
        sys.stderr.write(f"rank {rank}: zsda.{name}: {said}\n" if rank else f"zsda.{name}: {said}\n")


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
    return ConfigError(message) if message else unreadable(error, sys.argv[1:])


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
