"""Where, when and with what something was made."""

import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zsda import __version__


def provenance() -> dict[str, Any]:
    """Describes this start: command line, time, versions, git revision, host."""
    return {
        "command": ["python", "-m", _module(Path(sys.argv[0]).resolve()), *sys.argv[1:]],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git": _git_revision(),
        "host": platform.node(),
        "versions": versions("torch", "torchvision", "lightning", "diffusers", "numpy"),
    }


def versions(*packages: str) -> dict[str, str]:
    """Returns the versions of zsda, also where it runs from a checkout that is not installed, and of other packages."""
    return {"zsda": __version__, **{name: version(name) for name in packages}}


def _module(script: Path) -> str:
    roots = Path(__file__).resolve().parents[2:4]
    relative = next((script.relative_to(root) for root in roots if script.is_relative_to(root)), None)
    return ".".join((relative or Path("zsda", script.name)).with_suffix("").parts)


def _git_revision() -> str | None:
    """Returns the revision of the checkout that zsda runs from, with ``+`` if it has changes; None for an installed wheel."""
    folder = Path(__file__).resolve().parents[3]
    if not (folder / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
