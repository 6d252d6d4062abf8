"""How long a report of 60 runs takes, pictures, charts and all, from the start of the process to its end, against what was promised.

python benchmarks/report.py
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rounds import Claim, main, medians, ratio, seconds

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.reporting.site import make_sixty

_PROMISED = 60.0  # seconds


def measure(rounds: int) -> tuple[list[Claim], dict[str, Any]]:
    """Writes the same report several times."""
    with tempfile.TemporaryDirectory() as folder:
        runs = make_sixty(Path(folder))
        words = [sys.executable, "-m", "zsda.report", f"runs_root={runs}"]
        taken = seconds({"report": lambda: subprocess.run(words, capture_output=True, check=True)}, rounds)
        size = (runs / "report/report.html").stat().st_size
    promised = {"promised": [_PROMISED] * rounds, **taken}
    claim = Claim("a report of 60 runs: 60 s, against what it takes", ratio(promised, "promised", "report"), 1)
    return [claim], {"milliseconds": medians(taken), "megabytes": round(size / 1e6, 1)}


if __name__ == "__main__":
    main(__doc__, measure)
