"""What the docs show as Python runs as it stands."""

import re
from pathlib import Path

import torch
from PIL import Image

from tests.reference import state_dict
from zsda.miniature import writer

DOCS = Path(__file__).parent.parent / "docs"


def example_of(name):
    """The example of the parts of HIAST that shows this one."""
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "hiast.md").read_text(), re.DOTALL)
    (found,) = [example for example in examples if name in example]
    return found


def test_the_example_of_hiast_runs(tmp_path, monkeypatch, capsys):
    state = state_dict("hiast_deeplabv2_resnet101")
    torch.save({f"seg_model.{key}": value for key, value in state.items()}, tmp_path / "HIAST_final.pth")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example_of("load_published"), names)
    assert capsys.readouterr().out == f"HIAST_final.pth: {len(state)} tensors\n"
    assert names["labels"].shape == (2, 64, 128)
    names["loss"].backward()
    assert torch.isfinite(names["network"].aspp.conv2d_list[0].weight.grad).all()


def test_the_example_of_copy_paste_runs(world, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(writer, "write_miniature", lambda root, **_: Path(root).symlink_to(world))
    names = {}
    exec(example_of("HardAwareCopyPaste"), names)
    assert capsys.readouterr().out.startswith("hard: ")
    assert len(names["paste"].hard) == 14
    assert (names["pasted_mask"] != names["mask"]).any()
    with Image.open("copy_paste.jpg") as sheet, Image.open(DOCS / "copy_paste.jpg") as shown:
        assert sheet.size == shown.size
