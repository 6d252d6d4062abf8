"""The boundary between YAML and objects: finds ``conf/``, runs a command under Hydra, builds objects from its config.

Only files of ``conf/`` (or of a ``--config-dir`` that the user names) may carry a ``_target_``.
"""

import difflib
import functools
import logging
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zsda.errors import ConfigError, ZsdaError

_log = logging.getLogger(__name__)

TRACEBACK_VARIABLE = "ZSDA_TRACEBACK"


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
            try:
                return main(config)
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


def _report(error: ZsdaError, name: str, show_traceback: bool) -> None:
    if show_traceback:
        raise error
    sys.stderr.write(f"zsda.{name}: {error}\n")
    sys.exit(error.exit_code)


def _config_error(error: Exception, name: str) -> ConfigError:
    """Turns what Hydra and OmegaConf say, often over several lines, into one line with a way out."""
    message = " ".join(str(error).split())
    unknown = re.match(r"Could not override '([^']+)'", message)
    if unknown:
        key = unknown.group(1)
        close = difflib.get_close_matches(key, _known_keys(name), n=3, cutoff=0.5)
        near = f"did you mean {', '.join(close)}?" if close else "see --help for all options"
        return ConfigError(f"no option {key!r}; {near}")
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
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    return container  # type: ignore[return-value]  # a DictConfig gives a dict


def prepare_world(config: DictConfig) -> None:
    """Lets the chosen world put its data on disk where it makes them itself."""
    if config.world.prepare is not None:
        build(config.world.prepare)
