"""What the docs show as Python runs as it stands."""

import re
from pathlib import Path

import torch

from tests.reference import state_dict

DOCS = Path(__file__).parent.parent / "docs"


def test_the_example_of_hiast_runs(tmp_path, monkeypatch, capsys):
    state = state_dict("hiast_deeplabv2_resnet101")
    torch.save({f"seg_model.{key}": value for key, value in state.items()}, tmp_path / "HIAST_final.pth")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "hiast.md").read_text(), re.DOTALL)
    names = {}
    exec(example, names)
    assert capsys.readouterr().out == f"HIAST_final.pth: {len(state)} tensors\n"
    assert names["labels"].shape == (2, 64, 128)
    names["loss"].backward()
    assert torch.isfinite(names["network"].aspp.conv2d_list[0].weight.grad).all()
