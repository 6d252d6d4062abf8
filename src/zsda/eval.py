"""``python -m zsda.eval``: scores runs or a file of weights on one or several settings."""

import logging
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, process_rank
from zsda.core.config import build, build_machine, cache_limit, check_flags
from zsda.core.errors import ConfigError
from zsda.core.files import check_folder_name
from zsda.core.networks import chosen_network, matching_networks, with_epochs

if TYPE_CHECKING:
    pass

_log = logging.getLogger(__name__)


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean headline score."""
    from zsda.evaluation.protocols import chosen_protocol

    if "settings" not in config:
        names = "day, night, snow, rain, fog, game, synthia or robotcar"
        raise ConfigError(f"which setting? give setting={names}, or several as setting=[day,night]")
    for name in config.settings:
        check_folder_name("setting", name)
    if OmegaConf.is_missing(config, "edits_of") and {"edited", "rendered"} & config.settings.keys():
        raise ConfigError("setting=edited and setting=rendered belong to a domain; give edits_of=night, for example")
    check_flags(config, "masks", "mirror")
    of_epochs = _asks_for_epochs(config)
    pattern = OmegaConf.is_list(config.run) or any(sign in str(config.run) for sign in "*?[")
    several = pattern and config.ckpt is None
    given = (config.size, config.scales)
    size, scales = (OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for value in given)
    protocol = chosen_protocol(config.protocol, size, scales, config.mirror)
    networks = matching_networks(config, "eval") if several else [chosen_network(config, "eval")]
    if of_epochs:
        networks = with_epochs(networks)
    build(config.world.prepare)
    datasets = {name: build(node) for name, node in config.settings.items()}

    from rich.console import Console

    from zsda.data.faults import FaultLog
    from zsda.evaluation.scorer import Scorer
    from zsda.reporting.tables import curve_table, runs_table, scores_table

    machine = build_machine(config)
    scorer = Scorer(
        datasets=datasets,
        protocol=protocol,
        trainer=machine.trainer,
        batch_size=config.batch_size,
        num_workers=machine.workers,
        masks=config.masks,
        cache=cache_limit(config.data.cache, config),
    )
    for network in networks:  # all of them before the first, which may take hours
        scorer.check(network, of_epochs, shared=config.out is not None)
    faults, results, console = FaultLog(), {}, Console()
    for network in networks:
        for setting in (name for name, dataset in datasets.items() if dataset.name == network.source):
            seen = "%s was trained on %s, so the frames of setting=%s are not new to it, unless data.source.subset left them out"
            _log.warning(seen, network.title, network.source, setting)
        scored = scorer.score_epochs(network) if of_epochs else scorer.score(network, known=several)
        faults.add(scored.left_out)
        results[network.title] = scored
        if process_rank() == 0 and not several and not of_epochs:
            console.print(scored.title, style="bold", markup=False, soft_wrap=True)
            console.print(scores_table(scored.settings, protocol))
        _log.info("%s %s", "scored before, read from" if scored.known else "written:", scored.folder)
    if process_rank() == 0 and of_epochs:
        for title, scored in results.items():
            console.print(curve_table(title, scored.epochs, protocol))
    elif process_rank() == 0 and several:
        console.print(runs_table({title: scored.settings for title, scored in results.items()}, protocol))
    faults.conclude(f"evaluated, the results are in {config.out or config.runs_root if several else scored.folder}")
    values = [scores[protocol.headline] for scored in results.values() for scores in scored.settings.values()]
    return sum(values) / len(values)


def _asks_for_epochs(config: DictConfig) -> bool:
    if config.epochs not in ("last", "all"):
        raise ConfigError(f"epochs={config.epochs}; expected last or all")
    asks = bool(config.epochs == "all")
    if asks and (config.ckpt is not None or config.masks):
        raise ConfigError(
            "epochs=all scores what a run kept of its training; it goes with neither ckpt= nor masks=true"
        )
    return asks


if __name__ == "__main__":
    main()
