"""``python -m zsda.eval``: scores runs or a file of weights on one or several settings."""

import logging
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, process_rank
from zsda.core.config import build, loader_workers, prepare_world, trainer_factory
from zsda.core.errors import ConfigError, StoreError
from zsda.core.files import check_folder_name
from zsda.core.networks import chosen_network, network_of_run, refuse_model
from zsda.core.runs import matching_runs
from zsda.core.trained import TrainedNetwork

_log = logging.getLogger(__name__)


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean headline score."""
    from rich.console import Console

    from zsda.data.faults import FaultLog
    from zsda.evaluation.protocols import find_protocol
    from zsda.evaluation.scorer import Scorer
    from zsda.reporting.tables import epochs_table, runs_table, scores_table

    if "settings" not in config:
        names = "day, night, snow, rain, fog or game"
        raise ConfigError(f"which setting? give setting={names}, or several as setting=[day,night]")
    for name in config.settings:
        check_folder_name("setting", name)
    if OmegaConf.is_missing(config, "edits_of") and {"edited", "rendered"} & config.settings.keys():
        raise ConfigError("setting=edited and setting=rendered belong to a domain; give edits_of=night, for example")
    pattern = OmegaConf.is_list(config.run) or any(sign in str(config.run) for sign in "*?[")
    several = pattern and config.ckpt is None
    if config.epochs and (config.ckpt is not None or config.masks):
        raise ConfigError(
            "epochs=true scores what a run kept of its training; it goes with neither ckpt= nor masks=true"
        )
    protocol = find_protocol(config.protocol)
    networks = _matching(config) if several else [_checked(chosen_network(config, "eval"), config)]
    prepare_world(config)
    scorer = Scorer(
        datasets={name: build(node) for name, node in config.settings.items()},
        protocol=config.protocol,
        trainer=trainer_factory(config.trainer, config.machine),
        batch_size=config.batch_size,
        num_workers=loader_workers(config.machine),
        masks=config.masks,
    )
    faults, results, console = FaultLog(), {}, Console()
    for network in networks:
        scored = scorer.score_epochs(network) if config.epochs else scorer.score(network, known=several)
        faults.add(scored.left_out)
        results[network.title] = scored
        if process_rank() == 0 and not several and not config.epochs:
            console.print(scored.title, style="bold", markup=False, soft_wrap=True)
            console.print(scores_table(scored.settings, protocol))
        _log.info("%s %s", "scored before, read from" if scored.known else "written:", scored.folder)
    if process_rank() == 0 and config.epochs:
        console.print(epochs_table({title: scored.epochs for title, scored in results.items()}, protocol))
    elif process_rank() == 0 and several:
        console.print(runs_table({title: scored.settings for title, scored in results.items()}, protocol))
    faults.conclude(f"evaluated, the results are in {config.out or config.runs_root if several else scored.folder}")
    values = [scores[protocol.headline] for scored in results.values() for scores in scored.settings.values()]
    return sum(values) / len(values)


def _matching(config: DictConfig) -> list[TrainedNetwork]:
    refuse_model()
    patterns = [str(name) for name in (config.run if OmegaConf.is_list(config.run) else [config.run])]
    networks = []
    for run in matching_runs(Path(config.runs_root), patterns):
        out = None if config.out is None else Path(config.out) / run.path.name
        try:
            networks.append(_checked(network_of_run(run, config.phase, config.size, out), config))
        except StoreError as error:
            _log.warning("skipped: %s", error)
    if not networks:
        raise StoreError(f"none of the runs that match {', '.join(patterns)} could be evaluated; see above")
    return networks


def _checked(network: TrainedNetwork, config: DictConfig) -> TrainedNetwork:
    if config.epochs and len(network.epochs) == 1:
        raise StoreError(f"{network.title} kept only its last epoch; train it with keep_every=N to compare epochs")
    return network


if __name__ == "__main__":
    main()
