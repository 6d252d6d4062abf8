"""``python -m tools.small_editor.train``: trains the small editor of ``world=miniature`` from nothing, in resumable steps.

Pairs of pictures are rendered; an autoencoder is trained to put pictures into latents, the text encoder to tell the meanings of
the instructions apart, the denoiser to edit; and the parts are saved as a pipeline of diffusers. It is run in the root of a
checkout and takes its own options from ``tools/small_editor/conf``, the others from ``conf``.
"""

import logging
import sys
from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from zsda.core.command import choices, command
from zsda.core.config import Machine, build_machine, plain
from zsda.core.errors import ConfigError
from zsda.core.locks import owned
from zsda.core.provenance import provenance
from zsda.core.run_records import RunRecord
from zsda.core.runs import RunFolder

_FOLDER = Path(__file__).resolve().parent
_log = logging.getLogger(__name__)

# What the result follows from, beside the precision of the trainer.
_COMPARED = ("scenes", "size", "held_out", "seed", "autoencoder", "denoiser")


class _OwnOptions(SearchPathPlugin):
    """Lets Hydra find the options of this folder beside those of ``conf``, for this command alone."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Adds the folder."""
        if Path(sys.argv[0]).resolve().parent == _FOLDER:
            search_path.append("small_editor", f"file://{_FOLDER / 'conf'}")


Plugins.instance().register(_OwnOptions)


@command("small_editor")
def main(config: DictConfig) -> None:
    """Trains what is not trained yet, and saves the pipeline."""
    if not 0 < config.held_out < config.scenes:
        raise ConfigError(f"held_out={config.held_out}; expected at least 1 and fewer than scenes={config.scenes}")
    if config.machine.devices != 1:
        raise ConfigError(f"machine.devices={config.machine.devices}; so small an editor is trained on one device")
    from tools.small_editor.training import PHASES

    for phase in PHASES:
        if not isinstance(config[phase].steps, int) or config[phase].steps < 1:
            raise ConfigError(f"{phase}.steps={config[phase].steps}; expected a whole number of at least 1")
    run = RunFolder(Path(config.out))
    machine = build_machine(config)
    whole = plain(config)
    settings = {key: whole[key] for key in _COMPARED}
    settings["trainer"] = {"precision": machine.precision}
    with owned(run.path):
        run.claim(RunRecord(header=None, settings=settings, choices=choices(), phases=list(PHASES)), provenance())
        _train(config, run, machine)


def _train(config: DictConfig, run: RunFolder, machine: Machine) -> None:
    from tools.small_editor.pairs import PicturePairs
    from tools.small_editor.parts import save_editor
    from tools.small_editor.training import EditorTraining

    pairs = PicturePairs(run.path / "pairs", config.scenes, tuple(config.size))
    pairs.render(machine.workers)
    training = EditorTraining(run, pairs, machine.trainer, config.seed, machine.workers)
    autoencoder = training.autoencoder(**config.autoencoder)
    latents, scale = training.latents(autoencoder)
    autoencoder.register_to_config(scaling_factor=scale)
    text_encoder, tokenizer, encoded, numbers = training.text_encoder()
    unet = training.denoiser(latents, scale, encoded, numbers, held_out=config.held_out, **config.denoiser)
    folder = run.path / "editor"
    save_editor(folder, autoencoder, text_encoder, tokenizer, unet)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    _log.info("saved: %s, %.1f MB; use it with editor.model=%s", folder, size / 1e6, folder)


if __name__ == "__main__":
    main()
