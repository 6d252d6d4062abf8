"""``python -m zsda.eval``: scores a run or a file of weights on one or several settings."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from zsda.config import build, build_network, choices, command, compose_group, prepare_world, trainer_factory
from zsda.errors import ConfigError, DataError

if TYPE_CHECKING:
    from zsda.runs import RunFolder

_log = logging.getLogger(__name__)


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean over the settings of their mIoU."""
    from lightning.pytorch.callbacks import RichProgressBar
    from rich.console import Console

    from zsda.data.datamodules import EvaluationData
    from zsda.evaluation.exports import plain_scores, write_scores
    from zsda.evaluation.inference import EvaluationTask
    from zsda.models.weights import load_weights
    from zsda.reporting.tables import scores_table
    from zsda.runs import file_digest, provenance

    if "settings" not in config:
        raise ConfigError(
            "which setting? give setting=day, night, snow, rain, fog or game, or several as setting=[day,night]"
        )
    subject = _subject(config)
    prepare_world(config)
    size = list(config.size or subject["size"])
    data = EvaluationData(
        {name: build(node) for name, node in config.settings.items()},
        config.protocol,
        size,
        config.batch_size,
        config.num_workers,
    )
    model = build_network(subject["model"], pretrained=False)
    load_weights(model, subject["weights"])
    folder = subject["out"] / f"{'+'.join(data.settings)}_{config.protocol}"
    task = EvaluationTask(model, list(data.settings), folder / "masks" if config.masks else None)
    trainer = trainer_factory(config.trainer)(
        logger=False, use_distributed_sampler=False, enable_checkpointing=False, callbacks=[RichProgressBar()]
    )
    trainer.test(task, datamodule=data, verbose=False)

    results = {name: plain_scores(scores) for name, scores in task.results().items()}
    empty = [name for name, scores in results.items() if scores["accuracy"] is None]
    if empty:
        raise DataError(
            f"setting {empty[0]}: not one labelled pixel could be scored; {'; '.join(task.faults.messages[:3])}"
        )
    title = f"{subject['title']} - protocol {config.protocol}, input {size[0]}x{size[1]}"
    if trainer.is_global_zero:
        console = Console()
        console.print(title, style="bold", soft_wrap=True)
        console.print(scores_table(results))
        about = {
            "title": title,
            "weights": str(subject["weights"]),
            "weights_digest": file_digest(subject["weights"]),
            "protocol": config.protocol,
            "size": size,
            "images": {name: len(dataset) for name, dataset in data.settings.items()},
            "left_out": task.faults.messages,
            "provenance": provenance(),
        }
        write_scores(folder, results, about)
        _log.info("written: %s", folder)
    task.faults.conclude(f"evaluated, the results are in {folder}")
    return sum(scores["miou"] for scores in results.values()) / len(results)


def _subject(config: DictConfig) -> dict[str, Any]:
    """Says what is evaluated: its network, weights, input size, title and where the results go."""
    from zsda.runs import RunFolder, latest_finished_run

    if config.ckpt is not None:
        weights = Path(config.ckpt)
        out = Path(config.out or Path(config.runs_root) / weights.stem / "eval")
        return {"model": config.model, "weights": weights, "size": config.world.size, "title": str(weights), "out": out}
    root = Path(config.runs_root)
    run = RunFolder(root / config.run) if config.run is not None else latest_finished_run(root)
    names = run.phase_names()
    phase = config.phase or names[-1]
    if phase not in names:
        raise ConfigError(f"{run.path} has no phase {phase!r}; expected one of {', '.join(names)}")
    if not run.phase(phase).finished:
        raise ConfigError(
            f"phase {phase!r} of {run.path} is not finished; start its python -m zsda.train again, or give phase=..."
        )
    last = phase == names[-1]
    return {
        "model": _model_of(config, run),
        "weights": run.phase(phase).weights,
        "size": run.record()["settings"]["data"]["transform"]["size"],
        "title": run.path.name if last else f"{run.path.name}/{phase}",
        "out": Path(config.out or run.path / "eval" / ("" if last else phase)),
    }


def _model_of(config: DictConfig, run: "RunFolder") -> DictConfig:
    """Returns the config of the run's network: our own file for it, with the run's recorded plain values.

    What stands in a run folder is data, so a ``_target_`` is never taken from there.
    """
    record = run.record()
    node = (
        config.model
        if choices().get("model") == record["choices"]["model"]
        else compose_group("eval", "model", record["choices"]["model"])
    )
    values = {
        key: value for key, value in record["settings"]["model"].items() if key in node and not key.startswith("_")
    }
    return OmegaConf.merge(node, values)  # type: ignore[return-value]  # a DictConfig and a dict give a DictConfig


if __name__ == "__main__":
    main()
