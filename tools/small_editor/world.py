"""The world that the start weights are trained on: training streets in the training looks, by day only."""

from pathlib import Path

from tools.small_editor.looks import LOOKS
from tools.small_editor.streets import TRAINING_STREETS
from zsda.miniature.writer import write_miniature


def write_training_world(root: str | Path, train: int, val: int) -> None:
    """Writes day scenes of the training streets, or what is still missing of them.

    Args:
        root: folder that receives them.
        train: frames for training.
        val: frames for watching the training.

    Raises:
        StoreError: ``root`` holds a world of other settings, or cannot be written to.
    """
    write_miniature(root, train=train, val=val, test=0, style=TRAINING_STREETS, looks=LOOKS, oracle=False)
