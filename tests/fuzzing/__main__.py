"""Runs the whole of it, prints tables and faults, and ends with 1 where there is a fault."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzzing.files import fuzz_files
from tests.fuzzing.images import fuzz_images


def main() -> None:
    """Fuzzes images, then files."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing")
    for name, default in (("images", 1500), ("files", 300), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    (folder / "images").mkdir()
    started, faults = time.monotonic(), list[str]()
    for what, fuzz in (
        ("images", lambda: fuzz_images(asked.images, asked.seed, folder / "images")),
        ("files", lambda: fuzz_files(asked.files, asked.seed, folder, dict(os.environ))),
    ):
        outcomes = fuzz()
        faults += outcomes.faults
        print(f"{what}, seed {asked.seed}\n{outcomes.table()}\n", flush=True)
    print("\n\n".join(faults) if faults else "no faults", f"\nin {time.monotonic() - started:.0f} s, {folder}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
