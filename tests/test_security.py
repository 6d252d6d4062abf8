"""Beside each promise of SECURITY.md stands a test that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_promise_has_its_tests():
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")]
    promises = [line for line in rows if not line.startswith(("| promise", "| ---"))]
    assert len(promises) > 20
    for promise in promises:
        tests = re.findall(r"`(tests/\S+\.py)::(\w+)`", promise)
        assert tests, promise
        for file, name in tests:
            assert f"def {name}(" in (ROOT / file).read_text(), promise
