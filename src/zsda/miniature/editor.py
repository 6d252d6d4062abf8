"""``python -m zsda.miniature.editor``: trains the small editor that ships with zsda, from nothing, in resumable steps.

Lessons are rendered; an autoencoder learns to put pictures into latents; the text encoder learns the meanings of the
instructions; the denoiser learns to edit; and the parts are saved as a pipeline of diffusers.
"""

import logging
from pathlib import Path

from omegaconf import DictConfig

from zsda.command import choices, command
from zsda.config import plain, seed_of, trainer_factory
from zsda.errors import ConfigError

_log = logging.getLogger(__name__)

_VOLATILE = ("out", "num_workers", *(f"trainer.{key}" for key in ("_target_", "_partial_", "accelerator")))


@command("miniature.editor")
def main(config: DictConfig) -> None:
    """Trains what is not trained yet, and saves the pipeline."""
    if not 0 < config.held_out < config.scenes:
        raise ConfigError(f"held_out={config.held_out}; expected at least 1 and fewer than scenes={config.scenes}")
    if config.trainer.devices != 1:
        raise ConfigError(f"trainer.devices={config.trainer.devices}; so small an editor is trained on one device")
    from zsda.miniature.school.course import PHASES, STEPS_PER_EPOCH, Course
    from zsda.miniature.school.lessons import Lessons
    from zsda.miniature.school.parts import save_editor
    from zsda.runs import RunFolder, provenance, without

    for phase in PHASES:
        steps = config[phase].steps
        if steps < 1 or steps % STEPS_PER_EPOCH:
            raise ConfigError(
                f"{phase}.steps={steps}; expected a multiple of {STEPS_PER_EPOCH}, after which it is saved"
            )
    run = RunFolder(Path(config.out))
    trainer = trainer_factory(config.trainer)
    run.claim(without(plain(config), _VOLATILE), choices(), PHASES, provenance())
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
