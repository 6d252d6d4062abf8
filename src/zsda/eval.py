"""``python -m zsda.eval``: scores runs or a file of weights on one or several settings."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from zsda.core.command import command, process_rank
from zsda.core.config import build, build_machine, cache_limit
from zsda.core.errors import ConfigError, Gathered, ModelError
from zsda.core.files import check_writable
from zsda.core.networks import chosen_network, matching_networks, with_epochs
from zsda.core.trained import TrainedNetwork
from zsda.core.values import NAME

if TYPE_CHECKING:
    from zsda.data.samples import SegmentationDataset
    from zsda.evaluation.protocols import Protocol

_log = logging.getLogger(__name__)


@command("eval")
def main(config: DictConfig) -> float:
    """Evaluates, and returns the mean headline score."""
    from zsda.evaluation.protocols import chosen_protocol

    if "settings" not in config:
        names = "day, night, snow, rain, fog, game, synthia, robotcar or folder"
        raise ConfigError(f"which setting? give setting={names}, or several as setting=[day,night]")
    for name in config.settings:
        NAME.check("setting", name)
    if OmegaConf.is_missing(config, "edits_of") and {"edited", "rendered"} & config.settings.keys():
        raise ConfigError("setting=edited and setting=rendered belong to a domain; give edits_of=night, for example")
    of_epochs = _asks_for_epochs(config)
    pattern = OmegaConf.is_list(config.run) or any(sign in str(config.run) for sign in "*?[")
    several = pattern and config.ckpt is None
    given = (config.size, config.scales)
    size, scales = (OmegaConf.to_container(value) if OmegaConf.is_config(value) else value for value in given)
    protocol = chosen_protocol(config.protocol, size, scales, config.mirror)
    gathered, networks, datasets = Gathered(), list[TrainedNetwork](), dict[str, "SegmentationDataset"]()
    with gathered.gather():
        networks += matching_networks(config, "eval") if several else [chosen_network(config, "eval")]
        networks = with_epochs(networks) if of_epochs else networks
    if config.world.prepare is not None:
        gathered.conclude()  # before a world is rendered
    if process_rank() == 0:
        # What was scored before may be read of a place that cannot be written.
        check_writable("out", *(one.out for one in networks if not ((several or of_epochs) and one.out.is_dir())))
    build(config.world.prepare)
    for name, node in config.settings.items():
        with gathered.gather():
            made = build(node)
            found = made if isinstance(made, dict) else {name: made}  # a user's own data are a setting for each split
            twice = sorted(found.keys() & datasets.keys())
            if twice:
                raise ConfigError(
                    f"setting={name}: there is another setting {twice[0]}; expected another name of the split or of "
                    f"the data in {config.data.file}"
                )
            datasets |= found
    gathered.conclude()
    return _score(config, networks, datasets, protocol, of_epochs, several)


def _score(
    config: DictConfig,
    networks: list[TrainedNetwork],
    datasets: dict[str, "SegmentationDataset"],
    protocol: "Protocol",
    of_epochs: bool,
    several: bool,
) -> float:
    """Scores and shows them; of several, those that are damaged are named in a warning and passed over."""
    from rich.console import Console

    from zsda.data.faults import FaultLog
    from zsda.evaluation.scorer import Scored, Scorer
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
    shared = config.out is not None
    # All of them before the first, which may take hours.
    whole = [one for one in networks if _passes(several, partial(scorer.check, one, of_epochs, shared))]
    faults, results, console = FaultLog(), dict[str, Scored](), Console()

    def score(network: TrainedNetwork) -> None:
        for setting in (name for name, dataset in datasets.items() if dataset.name == network.source):
            seen = "%s was trained on %s, so the frames of setting=%s are not new to it, unless data.source.subset left them out"
            _log.warning(seen, network.title, network.source, setting)
        scored = scorer.score_epochs(network) if of_epochs else scorer.score(network, known=several)
        results[network.title] = scored
        faults.add(scored.left_out)
        if process_rank() == 0 and not several and not of_epochs:
            console.print(scored.title, style="bold", markup=False, soft_wrap=True)
            console.print(scores_table(scored.settings, protocol))
        _log.info("%s %s", "scored before, read from" if scored.known else "written:", scored.folder)

    for network in whole:
        _passes(several, partial(score, network))
    if not results:
        raise ModelError(f"none of the networks of {len(networks)} runs could be used; see above")
    if process_rank() == 0 and of_epochs:
        for title, scored in results.items():
            console.print(curve_table(title, scored.epochs, protocol))
    elif process_rank() == 0 and several:
        console.print(runs_table({title: scored.settings for title, scored in results.items()}, protocol))
    place = (config.out or config.runs_root) if several else next(iter(results.values())).folder
    faults.conclude(f"evaluated, the results are in {place}")
    values = [scores[protocol.headline] for scored in results.values() for scores in scored.settings.values()]
    return sum(values) / len(values)


def _passes(several: bool, use: Callable[[], object]) -> bool:
    """Uses a network; a damaged one is named in a warning where there are others, and else is an error."""
    try:
        use()
    except ModelError as error:
        if not several:
            raise
        _log.warning("skipped: %s", error)
        return False
    return True


def _asks_for_epochs(config: DictConfig) -> bool:
    asks = bool(config.epochs == "all")
    if asks and (config.ckpt is not None or config.masks):
        raise ConfigError(
            "epochs=all scores what a run kept of its training; it goes with neither ckpt= nor masks=true"
        )
    return asks


if __name__ == "__main__":
    main()
