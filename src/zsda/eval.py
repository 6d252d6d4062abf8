"""``python -m zsda.eval``: scores a run or a file of weights on one or several settings."""

import logging
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from zsda.config import build, build_network, command, given, prepare_world, recorded_group, trainer_factory
from zsda.errors import ConfigError

_log = logging.getLogger(__name__)


class Subject(NamedTuple):
    """What is evaluated: the config of its network, its weights, input size and name, and the folder of the results."""

    network: DictConfig
    weights: Path
    size: list[int]
    title: str
    out: Path


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean over the settings of their mIoU."""
    from lightning.pytorch.callbacks import RichProgressBar
    from rich.console import Console

    from zsda.data.datamodules import EvaluationData
    from zsda.evaluation.exports import write_scores
    from zsda.evaluation.inference import EvaluationTask, evaluate
    from zsda.models.weights import load_weights
    from zsda.reporting.tables import scores_table
    from zsda.runs import file_digest, provenance

    if "settings" not in config:
        names = "day, night, snow, rain, fog or game"
        raise ConfigError(f"which setting? give setting={names}, or several as setting=[day,night]")
    subject = _subject(config)
    prepare_world(config)
    datasets = {name: build(node) for name, node in config.settings.items()}
    data = EvaluationData(datasets, config.protocol, subject.size, config.batch_size, config.num_workers)
    model = build_network(subject.network, pretrained=False)
    load_weights(model, subject.weights)
    trainer = trainer_factory(config.trainer)(
        logger=False, use_distributed_sampler=False, enable_checkpointing=False, callbacks=[RichProgressBar()]
    )
    folder = subject.out / f"{'+'.join(datasets)}_{config.protocol}"
    task = EvaluationTask(model, list(datasets), folder / "masks" if config.masks else None)
    results = evaluate(task, data, trainer)
    if trainer.is_global_zero:
        title = f"{subject.title} - protocol {config.protocol}, input {subject.size[0]}x{subject.size[1]}"
        console = Console()
        console.print(title, style="bold", soft_wrap=True)
        console.print(scores_table(results))
        about = {
            "title": title,
            "weights": str(subject.weights),
            "weights_digest": file_digest(subject.weights),
            "protocol": config.protocol,
            "size": subject.size,
            "images": {name: len(dataset) for name, dataset in datasets.items()},
            "left_out": task.faults.messages,
            "provenance": provenance(),
        }
        write_scores(folder, results, about)
        _log.info("written: %s", folder)
    task.faults.conclude(f"evaluated, the results are in {folder}")
    return sum(scores["miou"] for scores in results.values()) / len(results)


def _subject(config: DictConfig) -> Subject:
    from zsda.runs import RunFolder, latest_finished_run

    root, size = Path(config.runs_root), config.size
    if config.ckpt is not None:
        weights = Path(config.ckpt)
        out = Path(config.out or root / weights.stem / "eval")
        return Subject(config.model, weights, list(size or config.world.size), str(weights), out)
    if given("model"):
        raise ConfigError("a run brings its own network; model= goes with ckpt=FILE only")
    run = RunFolder(root / config.run) if config.run is not None else latest_finished_run(root)
    phase = run.finished_phase(config.phase)
    record = run.record()
    network = recorded_group("eval", "model", record["choices"]["model"], record["settings"]["model"])
    size = list(size or record["settings"]["data"]["transform"]["size"])
    part = "" if phase.path.name == run.phase_names()[-1] else phase.path.name
    out = Path(config.out or run.path / "eval" / part)
    return Subject(network, phase.weights, size, f"{run.path.name}/{part}".rstrip("/"), out)


if __name__ == "__main__":
    main()
