import errno
import tempfile

import pytest

from zsda.core.errors import StoreError
from zsda.core.files import check_writable


@pytest.mark.parametrize("there", ["", "runs", "runs/a"])
def test_a_place_that_can_be_written_is_left_as_it_was(tmp_path, there):
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    before = sorted(tmp_path.rglob("*"))
    check_writable("out", tmp_path / "runs/a/eval", tmp_path / there)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("what", ["a file", "a link to nowhere"])
def test_what_is_in_the_way_is_named_with_the_option(tmp_path, what):
    if what == "a file":
        (tmp_path / "runs").touch()
    else:
        (tmp_path / "runs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError) as caught:
        check_writable("runs_root", tmp_path / "writable", tmp_path / "runs/a")
    assert f"{tmp_path}/runs/a cannot be written (" in str(caught.value)
    assert f": {tmp_path}/runs); give runs_root=FOLDER, a place where this user may write" in str(caught.value)


def test_the_file_system_is_asked_not_the_modes(tmp_path, monkeypatch):
    """Root may write where modes say no, and nobody on a read-only mount."""

    def refuse(**where):
        raise OSError(errno.EROFS, "Read-only file system", str(where["dir"]))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(StoreError, match=r"data/fog_target cannot be written \(Read-only file system: .*; give gen"):
        check_writable("generated_root", tmp_path / "data/fog_target")
