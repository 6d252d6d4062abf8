"""``python -m zsda``: lists the commands."""

import sys

from zsda import __version__

COMMANDS = {
    "check": "looks for mistakes in your data, and tells all of them at once",
    "preview": "shows what the editor makes of a few images at several scales",
    "generate": "edits source images into the condition that a sentence describes",
    "train": "adapts a network along the phases of a method",
    "eval": "scores a network on day, night, snow, rain, fog, game, synthia, robotcar or your own data",
    "predict": "predicts label maps of any photographs, or of a video",
    "report": "compares evaluated runs over their seeds",
    "export": "writes a trained network as safetensors and ONNX",
    "study": "trains and compares a fixed list of runs, side by side",
    "cache": "says what decoded images take of the disk, and empties it",
    "demo": "shows all of it on a rendered toy city",
}


def main() -> None:
    """Writes one line for each command."""
    lines = [f"zsda {__version__}: make segmentation work where no image of the condition exists", ""]
    lines += [f"  python -m zsda.{name:<17} {does}" for name, does in COMMANDS.items()]
    lines += ["", "Each explains itself with --help. Without data or a GPU, world=miniature makes all of it."]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
