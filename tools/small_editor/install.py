"""``python -m tools.small_editor.install EDITOR WEIGHTS``: puts a trained editor and start weights into the package.

EDITOR is what ``python -m tools.small_editor.train`` saved, WEIGHTS the network of ``python -m zsda.train --config-dir
tools/small_editor/conf world=training_streets``. From then on ``world=miniature`` takes them.
"""

import shutil
import sys
from pathlib import Path

import safetensors.torch

from zsda.core.errors import ZsdaError
from zsda.core.files import write_atomic
from zsda.core.resources import PREFIX, located
from zsda.generation.editors.pipelines import check_pipeline
from zsda.models.weights import read_weights

WEIGHTS = located(f"{PREFIX}miniature/weights")


def install(editor: Path, network: Path) -> None:
    """Copies the editor's folder, and the network in half precision; nothing is replaced by something unreadable.

    Raises:
        ModelError: there is no such pipeline, or the network's file cannot be read.
    """
    check_pipeline(editor)
    state = {key: value.half() if value.is_floating_point() else value for key, value in read_weights(network).items()}
    write_atomic(WEIGHTS / "segmentation.safetensors", safetensors.torch.save(state))
    shutil.rmtree(WEIGHTS / "editor", ignore_errors=True)
    shutil.copytree(editor, WEIGHTS / "editor", copy_function=shutil.copyfile)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m tools.small_editor.install EDITOR WEIGHTS")
    try:
        install(Path(sys.argv[1]), Path(sys.argv[2]))
    except ZsdaError as error:
        sys.exit(str(error))
