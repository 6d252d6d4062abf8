"""What the docs show as Python runs as it stands, and what they say of speed is what was measured."""

import json
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


def test_the_speeds_in_the_readme_are_those_that_were_measured():
    root = DOCS.parent
    readme = (root / "README.md").read_text()
    (name,) = re.findall(r"\(`(benchmarks/results/[\w.-]+\.json)`\)", readme)
    measured = json.loads((root / name).read_text())
    assert measured["machine"] in readme
    rows = [f"| {c['claim']} | {c['ratio']:.1f} | {c['at_least']:g} |" for c in measured["claims"]]
    assert re.findall(r"^\| [^|]* \| [\d.]+ \| [\d.]+ \|$", readme, re.MULTILINE) == rows
    missed = [claim["claim"] for claim in measured["claims"] if claim["ratio"] < claim["at_least"]]
    assert re.findall(r"^Not reached: (.*?)\.", readme, re.MULTILINE) == ["; ".join(missed)] * bool(missed)


def test_the_speeds_of_a_gpu_in_the_readme_are_those_that_were_measured():
    readme = (DOCS.parent / "README.md").read_text()
    (name,) = re.findall(r"\(`(benchmarks/results/nvidia[\w.-]+\.json)`, by", readme)
    measured = json.loads((DOCS.parent / name).read_text())
    assert measured["machine"].split(" (")[0] in readme
    editing, training = measured["editing"], measured["training"]
    rates = [(editing[key]["edits_s"], editing["published"]["edits_s"]) for key in ("parity", "fast")]
    crops = [(training[key]["crops_s"], training["published_crops_s"]) for key in ("bf16", "fp32")]
    shown = [f"{own:.2f} | {other:.2f} | {own / other:.1f} |" for own, other in rates]
    shown += [f"{own:.0f} | {other:.0f} | {own / other:.1f} |" for own, other in crops]
    found = re.findall(r"^\| [^|]* \| ([\d.]+ \| [\d.]+ \| [\d.]+ \|)$", readme, re.MULTILINE)
    assert found == shown
    assert measured["agreement"]["edits_differ_by_grey_levels"] == 1
    cpu, gpu = measured["agreement"]["losses_on_cpu_and_here"]
    assert max(abs(one - other) for one, other in zip(cpu, gpu, strict=True)) < 1e-5
