import pytest

from zsda.core.errors import StoreError
from zsda.core.runs import PhaseFolder
from zsda.training.checkpoints import RotatingCheckpoints


@pytest.mark.parametrize("content", [b"", b"hello", b"[1]", b"PK\x03\x04", b"\x80\x02.", b"\x80\x02K\x01.", bytes(300)])
def test_what_is_no_checkpoint_is_named_without_advice(tmp_path, content):
    """torch meets some of them with errors of no kind of its own, and explains at others how to unpickle them nevertheless."""
    folder = PhaseFolder(tmp_path)
    folder.checkpoint.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"last\.ckpt (cannot be read|is no checkpoint).*; delete it to start this phase anew$"
    ) as raised:
        RotatingCheckpoints(folder).load_checkpoint(folder.checkpoint, weights_only=True)
    assert "weights_only" not in str(raised.value) and "\n" not in str(raised.value)
