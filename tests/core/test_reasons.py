import pytest

from zsda.core.reasons import reason

TORCH = """Weights only load failed. In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from
`False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in arbitrary
code execution. Do it only if you got the file from a trusted source.
Please file an issue with the following so that we can make `weights_only=True` compatible with your use case:
WeightsUnpickler error: Unsupported operand 104

Check the documentation of torch.load to learn more about types accepted by default with weights_only."""
PILLOW = "Image size (180000000 pixels) exceeds limit of 178956970 pixels, could be decompression bomb DOS attack."


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PILLOW, "ValueError"),
        ("Decompressed data too large for PngImagePlugin.MAX_TEXT_CHUNK", "ValueError"),
        ("no such part. Please pass `trust_remote_code=True` to load it.", "no such part"),
        ("needs accelerate: run pip install accelerate.", "needs accelerate"),
        ("Object arrays cannot be loaded when allow_pickle=False", "ValueError"),
        ("cut\x1b off\n at byte 7.", "cut\\x1b off at byte 7"),
        ("", "ValueError"),
        ("x" * 300, "x" * 200),
    ],
)
def test_of_what_a_library_says_the_fault_is_told(text, told):
    assert reason(ValueError(text)) == told


def test_of_a_file_that_cannot_be_opened_the_path_is_told_elsewhere():
    assert reason(FileNotFoundError(2, "No such file or directory", "a/b")) == "No such file or directory"
    assert reason(KeyError(101)) == "KeyError 101"
    assert reason(OSError("no regular file")) == "no regular file"


def test_of_torchs_long_advice_nothing_unsafe_is_left():
    assert reason(RuntimeError(TORCH)) == "WeightsUnpickler error: Unsupported operand 104"
