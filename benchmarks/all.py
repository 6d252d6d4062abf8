"""Runs every benchmark that needs no GPU, prints one table and writes ``benchmarks/results/MACHINE-DATE.json``.

make bench
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
ON_ONE_THREAD = ("training", "evaluation", "selection", "confusion", "start_up", "report")
ON_ALL_CORES = ("editing", "step")


def machine() -> str:
    """Returns the name of the processor and the number of its cores that are ours."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    return f"{found.group(1) if found else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def table(claims: list[dict]) -> str:
    """Returns the claims as a table in Markdown."""
    rows = [f"| {c['claim']} | {c['ratio']:.1f} | {c['at_least']:g} |" for c in claims]
    return "\n".join(["| claim | times as fast | at least |", "| --- | --- | --- |", *rows])


def main() -> None:
    """Runs them one after the other, each in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (*ON_ONE_THREAD, *ON_ALL_CORES):
            print(f"benchmarks/{name}.py", flush=True)
            out = Path(folder) / f"{name}.json"
            words = [sys.executable, HERE / f"{name}.py", "--out", out]
            one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if name in ON_ONE_THREAD else {}
            environment = {**os.environ, **one}
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, env=environment)
            found[name] = json.loads(out.read_text())
    claims = [claim for result in found.values() for claim in result.pop("claims")]
    named, date = machine(), datetime.now(UTC).date().isoformat()
    name = re.sub(r"[^a-z0-9]+", "-", named.lower()).strip("-")
    written = HERE / "results" / f"{name}-{date}.json"
    result = {"machine": named, "date": date, "claims": claims, "behind": found}
    written.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\n{named}\n\n{table(claims)}\n\nwritten: {written}")
    missed = [claim["claim"] for claim in claims if claim["ratio"] < claim["at_least"]]
    if missed:
        sys.exit(f"not reached: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
