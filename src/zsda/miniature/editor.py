"""``python -m zsda.miniature.editor``: trains the small editor that ships with zsda, from nothing, in resumable steps.

Lessons are rendered; an autoencoder learns to put pictures into latents; the text encoder learns the meanings of the
instructions; the denoiser learns to edit; and the parts are saved as a pipeline of diffusers.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from zsda.command import choices, command
from zsda.config import plain, seed_of, trainer_factory
from zsda.errors import ConfigError
from zsda.locks import owned
from zsda.provenance import provenance
from zsda.runs import RunFolder, RunRecord, without

_log = logging.getLogger(__name__)

_VOLATILE = ("out", "num_workers", *(f"trainer.{key}" for key in ("_target_", "_partial_", "accelerator")))


@command("miniature.editor")
def main(config: DictConfig) -> None:
    """Trains what is not trained yet, and saves the pipeline."""
    if not 0 < config.held_out < config.scenes:
        raise ConfigError(f"held_out={config.held_out}; expected at least 1 and fewer than scenes={config.scenes}")
    if config.trainer.devices != 1:
        raise ConfigError(f"trainer.devices={config.trainer.devices}; so small an editor is trained on one device")
    from zsda.miniature.school.course import PHASES, STEPS_PER_EPOCH
    from zsda.recording import recordable

    for phase in PHASES:
        steps = config[phase].steps
        if steps < 1 or steps % STEPS_PER_EPOCH:
            raise ConfigError(
                f"{phase}.steps={steps}; expected a multiple of {STEPS_PER_EPOCH}, after which it is saved"
            )
    run = RunFolder(Path(config.out))
    trainer = trainer_factory(config.trainer)
    settings = recordable(without(plain(config), _VOLATILE))
    with owned(run.path):
        run.claim(RunRecord(header=None, settings=settings, choices=choices(), phases=list(PHASES)), provenance())
        _train(config, run, trainer)


def _train(config: DictConfig, run: RunFolder, trainer: Callable[..., Any]) -> None:
    from zsda.miniature.school.course import Course
    from zsda.miniature.school.lessons import Lessons
    from zsda.miniature.school.parts import save_editor

    lessons = Lessons(run.path / "lessons", config.scenes, tuple(config.size))
    lessons.render(config.num_workers)
    course = Course(run, lessons, trainer, seed_of(config), config.num_workers)
    autoencoder = course.autoencoder(**config.autoencoder)
    latents, scale = course.latents(autoencoder)
    autoencoder.register_to_config(scaling_factor=scale)
    text_encoder, tokenizer, encoded, numbers = course.words()
    unet = course.denoiser(latents, scale, encoded, numbers, held_out=config.held_out, **config.denoiser)
    folder = run.path / "editor"
    save_editor(folder, autoencoder, text_encoder, tokenizer, unet)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    _log.info("saved: %s, %.1f MB; use it with editor.model=%s", folder, size / 1e6, folder)


if __name__ == "__main__":
    main()
