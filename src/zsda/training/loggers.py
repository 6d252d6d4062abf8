"""Where a training is recorded beside files: a run of Weights & Biases or MLflow for each phase, and pictures for all who take them."""

import importlib
import importlib.util
import logging
import os
import re
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from zsda.core.errors import ConfigError, StoreError
from zsda.core.files import write_atomic
from zsda.core.runs import PhaseFolder, RunFolder

_PROJECT = "zsda"
_SERVER = "MLFLOW_TRACKING_URI"
_ENDED_WELL = ("success", "finished")  # as Lightning says it

_log = logging.getLogger(__name__)


class WandbRuns:
    """Makes a run of Weights & Biases for each phase: ``<run>/<phase>``, in a group that is called as the run.

    A phase that goes on from a checkpoint goes on in its run, whose id lies in ``<phase>/wandb/run_id``. ``WANDB_MODE``,
    ``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_DIR`` and all other variables of W&B work as they always do.

    Args:
        project: where the runs are shown; None takes ``WANDB_PROJECT``, or ``zsda``.
        options: further arguments of ``wandb.init``, as ``entity`` or ``tags``.

    Raises:
        ConfigError: the package is not installed.
    """

    def __init__(self, project: str | None = None, **options: Any) -> None:  # noqa: ANN401 - those of W&B
        _check_installed("wandb")
        self._project, self._options = project or os.environ.get("WANDB_PROJECT", _PROJECT), options

    def __call__(self, save_dir: Path) -> Logger:
        """Begins the run of a phase, or goes on with it.

        Args:
            save_dir: the folder of the phase, in that of its run.

        Raises:
            ConfigError: W&B refuses, as without a login or a network, or an option that it does not know.
            StoreError: the folder cannot be written.
        """
        if rank_zero_only.rank > 0:  # type: ignore[attr-defined]  # Lightning sets it
            return DummyLogger()
        folder, run = PhaseFolder(save_dir), save_dir.absolute().parent.name
        place = save_dir / "wandb/run_id"
        identity = _kept(folder, place) or uuid.uuid4().hex[:16]
        write_atomic(place, identity.encode())
        try:
            logger = _WandbLogger(
                project=self._project,
                name=f"{run}/{save_dir.name}",
                group=run,
                id=identity,
                save_dir=os.environ.get("WANDB_DIR") or save_dir,
                config=_settings(save_dir),
                **self._options,
            )
            _ = logger.experiment  # begins it
        except (importlib.import_module("wandb").Error, TypeError, ValueError) as error:
            way_out = "log in with wandb login, set WANDB_MODE=offline, or leave wandb out of logger="
            raise ConfigError(f"logger=wandb: {_in_a_line(error)}; {way_out}") from error
        return logger


class MlflowRuns:
    """Makes a run of MLflow for each phase: ``<run>/<phase>``, with the tags ``run`` and ``phase``.

    A phase that goes on from a checkpoint goes on in its run, whose id lies in ``<phase>/mlflow/run_id``. Without
    ``MLFLOW_TRACKING_URI`` all runs of a ``runs_root`` are in ``mlflow.db`` there, their pictures below ``mlartifacts``.

    Args:
        experiment: what the runs belong to; None takes ``MLFLOW_EXPERIMENT_NAME``, or ``zsda``.

    Raises:
        ConfigError: the package is not installed.
    """

    def __init__(self, experiment: str | None = None) -> None:
        _check_installed("mlflow")
        self._experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT)

    def __call__(self, save_dir: Path) -> Logger:
        """Begins the run of a phase, or goes on with it.

        Args:
            save_dir: the folder of the phase, in that of its run.

        Raises:
            ConfigError: MLflow refuses, as without a server.
            StoreError: the folder cannot be written.
        """
        if rank_zero_only.rank > 0:  # type: ignore[attr-defined]  # Lightning sets it
            return DummyLogger()
        server = os.environ.get(_SERVER)
        try:
            return self._begun(save_dir, server)
        except _mlflow_exception() as error:
            way_out = f"set {_SERVER} to a server that answers, or leave mlflow out of logger="
            raise ConfigError(f"logger=mlflow: {_in_a_line(error)}; {way_out}") from error
        finally:
            if server is None:
                os.environ.pop(_SERVER, None)  # MLflow sets it, which the next job of a sweep would take for the user's

    def _begun(self, save_dir: Path, server: str | None) -> Logger:
        root, run = save_dir.absolute().parents[1], save_dir.absolute().parent.name
        place = save_dir / "mlflow/run_id"
        before = _kept(PhaseFolder(save_dir), place)
        if server is None:
            root.mkdir(parents=True, exist_ok=True)
        logger = _MlflowLogger(
            experiment_name=self._experiment,
            run_name=f"{run}/{save_dir.name}",
            # Its own files are no place for runs any more since MLflow 3.
            tracking_uri=server or f"sqlite:///{root / 'mlflow.db'}",
            artifact_location=(root / "mlartifacts").as_uri() if server is None else None,
            tags={"run": run, "phase": save_dir.name},
        )
        if before is not None and logger.goes_on_with(before):
            return logger
        logger.log_hyperparams(_flat(_settings(save_dir)))  # which begins it
        write_atomic(place, str(logger.run_id).encode())
        return logger


class _WandbLogger(WandbLogger):
    """Ends its run with the training."""

    def finalize(self, status: str) -> None:
        """Ends it; with Lightning's own it would be that of the next phase as well."""
        super().finalize(status)
        if self._experiment is not None:
            self._experiment.finish(exit_code=0 if status in _ENDED_WELL else 1)


class _MlflowLogger(MLFlowLogger):
    """Can take up a run, and gives up recording before it ends a training."""

    _lost = False

    def goes_on_with(self, run_id: str) -> bool:
        """Takes up a run; returns False where the server has none of this id."""
        client = self._mlflow_client
        try:
            run = client.get_run(run_id)
        except _mlflow_exception() as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # type: ignore[attr-defined]
                raise
            return False
        if run.info.lifecycle_stage != "active":  # it was deleted
            return False
        client.update_run(run_id, status="RUNNING")
        self._run_id = run_id
        _ = self.experiment  # takes it up
        return True

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Records numbers."""
        self.attempt(super().log_metrics, metrics, step)

    def finalize(self, status: str = "success") -> None:
        """Ends the run."""
        self.attempt(super().finalize, status)

    def attempt(self, record: Callable[..., Any], *arguments: Any, **more: Any) -> None:  # noqa: ANN401 - those of the function
        """Calls what records something, unless the server was lost before: MLflow tries for minutes until it says so."""
        if self._lost:
            return
        try:
            record(*arguments, **more)
        except _mlflow_exception() as error:
            self._lost = True
            _log.warning("mlflow: %s; this phase goes on without it, its csv has all", _in_a_line(error))


def shows_pictures(logger: Logger) -> bool:
    """Tells whether `log_picture` does anything."""
    return isinstance(logger, TensorBoardLogger | WandbLogger | _MlflowLogger)


def log_picture(logger: Logger, tag: str, picture: Image.Image, step: int) -> None:
    """Records a picture where the logger takes any; to be called by the first of several processes.

    Args:
        logger: of any kind.
        tag: what all pictures of a series are called.
        picture: RGB.
        step: of the optimiser, by which they are ordered.
    """
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(tag, np.asarray(picture), step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(tag, [picture], step)
    elif isinstance(logger, _MlflowLogger):
        logger.attempt(logger.experiment.log_image, logger.run_id, picture, key=tag, step=step)


def _check_installed(package: str) -> None:
    # A folder of that name where the command is started, as W&B makes it, is found as well, but is no file.
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ConfigError(
            f"logger={package} needs the package {package}, not installed here; pip install 'zsda[{package}]', or leave it out of logger="
        )


def _kept(folder: PhaseFolder, place: Path) -> str | None:
    """Returns the id of the run that a phase goes on in; None where it begins anew."""
    if not folder.begun or not place.is_file():
        return None
    kept = place.read_text(errors="replace").strip()
    return kept if re.fullmatch("[0-9a-f]{8,64}", kept) else None


def _settings(phase: Path) -> dict[str, Any]:
    """Returns what decides the result of the run that a phase belongs to; nothing of a training that belongs to none."""
    try:
        return RunFolder(phase.absolute().parent).record().settings
    except StoreError:
        return {}


def _flat(settings: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Returns dotted name -> value, the names in letters that MLflow takes."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = place + re.sub(r"[^A-Za-z0-9_. -]", "_", str(key))
        found |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _mlflow_exception() -> type[Exception]:
    return importlib.import_module("mlflow.exceptions").MlflowException


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")
