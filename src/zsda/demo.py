"""``python -m zsda.demo``: the way from a sentence to a comparison on the miniature world, command by command."""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from zsda.core.command import choices, command, own_folders
from zsda.core.config import build, conf_dir
from zsda.core.errors import ConfigError, ZsdaError
from zsda.core.files import check_writable

_FOR_ALL = ("world.", "trainer=", "trainer.", "machine.")


@command("demo")
def main(config: DictConfig) -> None:
    """Generates, trains, evaluates and compares; writes ``report/``, ``sheet.png`` and ``summary.json`` into runs_root."""
    domain, root = _check(config), Path(config.runs_root)
    runs = {"source_2x": f"day_source_2x_seed{config.seed}", "sdgpa": f"{domain}_sdgpa_seed{config.seed}"}
    check_writable("runs_root", root)
    check_writable("data_root", Path(config.data_root))
    console, seconds = Console(), dict[str, float]()
    with _step(console, seconds, "world", "The world: a rendered city, by day and as it really looks otherwise"):
        build(config.world.prepare, **_scenes(config))
    for name, headline, words in _commands(config, domain, list(runs.values())):
        with _step(console, seconds, name, headline):
            _call(console, words)
    from zsda.core.files import to_json, write_atomic
    from zsda.core.networks import network_of_run
    from zsda.core.runs import matching_runs
    from zsda.reporting.comparison import Comparison
    from zsda.reporting.results import read_results
    from zsda.reporting.scenes import write_adaptation_sheet

    with _step(console, seconds, "sheet", "The same scenes in one picture"):
        trained = dict(zip(runs, matching_runs(root, list(runs.values())), strict=True))
        comparison = Comparison(read_results(list(trained.values()), "sdgpa"), [domain])
        networks = {f"{method} predicts": network_of_run(run) for method, run in trained.items()}
        write_adaptation_sheet(root / "sheet.png", Path(config.data_root), domain, networks, config.rows)
    write_atomic(root / "summary.json", to_json({"miou": comparison.plain(domain), "seconds": seconds}))
    console.print(
        f"{sum(seconds.values()):.0f} s; look at {root / 'report/report.html'}; sheet.png and summary.json are in {root}",
        markup=False,
        soft_wrap=True,
    )


def _check(config: DictConfig) -> str:
    settings, domains = ({path.stem for path in (conf_dir() / group).glob("*.yaml")} for group in ("setting", "domain"))
    scored = sorted(settings & domains)
    if config.domain.name not in scored:
        raise ConfigError(f"domain={config.domain.name} has no images to compare with; expected {', '.join(scored)}")
    if not (config.world.prepare and config.world.editor):
        raise ConfigError(f"world={choices()['world']} has no renders or no editor; expected world=miniature")
    return str(config.domain.name)


def _scenes(config: DictConfig) -> dict[str, int]:
    """Returns how many scenes the city has; what a word of the user says of the world itself wins."""
    said = {word.split("=")[0] for word in HydraConfig.get().overrides.task}
    return {split: count for split, count in config.scenes.items() if f"world.prepare.{split}" not in said}


def _commands(config: DictConfig, domain: str, runs: list[str]) -> list[tuple[str, str, list[str]]]:
    words = HydraConfig.get().overrides.task
    world = [
        *own_folders(),
        f"world={choices()['world']}",
        f"data_root={config.data_root}",
        *(f"world.prepare.{split}={count}" for split, count in _scenes(config).items()),
        *(word for word in words if word.lstrip("+~").startswith(_FOR_ALL)),
    ]
    own = [word for word in words if word.startswith("domain.")]
    seed, root = f"seed={config.seed}", f"runs_root={config.runs_root}"
    generate = ["generate", *world, f"domain={domain}", *own, seed, *config.generate_options]
    train = ["train", *world, seed, root, *config.train_options]
    chosen = f"[{','.join(runs)}]"
    settings = [f"setting=[day,{domain},edited]", f"edits_of={domain}"]
    scored = ["eval", *world, *settings, f"run={chosen}", root, *config.eval_options]
    compared = ["report", *own_folders(), f"runs={chosen}", root, "against=[source_2x]"]
    return [
        ("generate", f"One sentence edits the training scenes into {domain}", generate),
        ("generate_val", "And some that no training sees", [*generate, "split=val", f"limit={config.rows}"]),
        ("train_source_2x", "A network that sees the day alone, and as many images", [*train, "method=source_2x"]),
        ("train_sdgpa", f"One that sees the edits: SDGPA for {domain}", [*train, f"experiment={domain}", *own]),
        ("eval", f"Both by day, in {domain} as it really looks, and on edits", scored),
        ("report", "The comparison, as tables and as a page with pictures", compared),
    ]


@contextmanager
def _step(console: Console, seconds: dict[str, float], name: str, headline: str) -> Iterator[None]:
    console.rule(headline, align="left")
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 1)


def _call(console: Console, words: list[str]) -> None:
    console.print(shlex.join(["python", "-m", f"zsda.{words[0]}", *words[1:]]), markup=False, soft_wrap=True)
    code = subprocess.run([sys.executable, "-m", f"zsda.{words[0]}", *words[1:]], check=False).returncode
    if code:  # is handed on; that of a signal as the shell does
        failure = ZsdaError(f"zsda.{words[0]} ended with exit code {code}; once it is mended, start the demo again")
        failure.exit_code = code if code > 0 else 128 - code
        raise failure


if __name__ == "__main__":
    main()
