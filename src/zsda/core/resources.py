"""Files of the package, named in configs wherever it is installed."""

from pathlib import Path

PREFIX = "pkg://zsda/"


def located(name: str | Path) -> Path:
    """Returns the path that a config names: as it stands, or inside the package where it begins with ``pkg://zsda/``."""
    text = str(name)
    return Path(__file__).resolve().parents[1] / text.removeprefix(PREFIX) if text.startswith(PREFIX) else Path(text)
