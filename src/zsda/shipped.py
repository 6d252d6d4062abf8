"""What ships inside the package and is named in configs like a file, wherever the package is installed."""

from pathlib import Path

PREFIX = "pkg://zsda/"


def located(name: str | Path) -> Path:
    """Returns the path that a config names: as it stands, or inside the package where it begins with ``pkg://zsda/``."""
    text = str(name)
    return Path(__file__).resolve().parent / text.removeprefix(PREFIX) if text.startswith(PREFIX) else Path(text)
