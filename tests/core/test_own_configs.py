import pytest

from tests.conftest import one_line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# \xf2", "'utf-8' codec can't decode byte 0xf2"),
        (b"a: [", "expected the node content"),
        (b"[" * 5000, "maximum recursion depth exceeded"),
        (b"defaults:\n- {override /trainer: cpu, '0': 1}\n", "Too many keys in default item"),
        (b"defaults: 7\n", "defaults"),
        (b"a: ${b\n", "own/experiment/mine.yaml: cannot be read (no viable alternative"),
    ],
)
def test_a_file_that_is_no_config_is_one_line(zsda, tmp_path, content, message):
    (tmp_path / "own/experiment").mkdir(parents=True)
    (tmp_path / "own/experiment/mine.yaml").write_bytes(b"# @package _global_\n" + content)
    result = zsda("train", "--config-dir", tmp_path / "own", "experiment=mine")
    assert result.returncode == 2
    assert message in one_line(result)
