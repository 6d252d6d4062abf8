"""How long a command takes to answer, from the start of the process to its end, against what was promised.

python benchmarks/start_up.py
"""

import subprocess
import sys
from typing import Any

from rounds import Claim, main, medians, ratio, seconds

_PROMISED = {  # seconds
    "train --help": (3.0, ["-m", "zsda.train", "--help"]),
    "import zsda": (0.2, ["-c", "import zsda"]),
    "a wrong option": (3.0, ["-m", "zsda.train", "experiment=snow", "seeed=1"]),
    "a wrong folder": (3.0, ["-m", "zsda.train", "experiment=snow", "data_root=nowhere"]),
}


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Runs each in turn."""

    def run(words: list[str]) -> None:
        subprocess.run([sys.executable, *words], capture_output=True, check=False)

    taken = seconds({name: lambda words=words: run(words) for name, (_, words) in _PROMISED.items()}, rounds)
    claims = []
    for name, (most, _) in _PROMISED.items():
        promised = {"promised": [most] * rounds, name: taken[name]}
        claims.append(Claim(f"{name}: {most:g} s, against what it takes", ratio(promised, "promised", name), 1))
    return claims, {"milliseconds": medians(taken)}


if __name__ == "__main__":
    main(__doc__, measure)
