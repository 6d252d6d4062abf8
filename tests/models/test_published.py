import importlib
import io
import logging
import os
import re
import struct
import zipfile
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.reference import image, recorded, state_dict
from zsda.core.errors import ModelError
from zsda.models.deeplab import DeepLabV2, DeepLabV3Plus
from zsda.models.discriminator import Discriminator
from zsda.models.published import load_published
from zsda.models.refinenet import RefineNet
from zsda.models.torch_files import read_torch_file
from zsda.models.weights import load_start_weights, load_weights


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
        self.classifier = torch.nn.Conv2d(4, 5, 1)


def wrapped(state):
    """Keys as torch.nn.DataParallel names them."""
    return OrderedDict((f"module.{key}", value) for key, value in state.items())


def beside(model):
    """What a training saves beside its weights."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    scores = {"best_miou": np.float64(0.43), "best_epoch": 60, "history": [np.float64(0.1), (0.2, None)]}
    return {"epoch": 65, "optimizer_state_dict": optimizer.state_dict(), **scores}


def same(one, other):
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


def as_numpy_1_wrote(raw):
    """The file with the module name that NumPy's numbers had before NumPy 2."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as found, zipfile.ZipFile(written, "w") as archive:
        for name in found.namelist():
            archive.writestr(name, found.read(name).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
    assert b"numpy._core" not in written.getvalue()
    return written.getvalue()


@pytest.mark.parametrize("kind", ["zip", "numpy 1", "before torch 1.6"])
def test_a_checkpoint_of_the_papers_is_read(tmp_path, kind):
    published, model, path = Small(), Small(), tmp_path / "weights_65.pth.tar"
    content = {"model_state_dict": wrapped(published.state_dict()), **beside(published)}
    torch.save(content, path, _use_new_zipfile_serialization=kind != "before torch 1.6")
    if kind == "numpy 1":
        path.write_bytes(as_numpy_1_wrote(path.read_bytes()))
    allowed = set(torch.serialization.get_safe_globals())
    report = load_published(model, path)
    assert same(published, model)
    assert (report.path, report.tensors, report.epoch) == (path, len(published.state_dict()), 65)
    assert report.others == ("epoch", "optimizer_state_dict", "best_miou", "best_epoch", "history")
    assert set(torch.serialization.get_safe_globals()) == allowed


@pytest.mark.parametrize("load", [load_published, load_weights, load_start_weights])
@pytest.mark.parametrize("inside", [True, False], ids=["checkpoint", "plain"])
def test_every_way_to_load_takes_a_checkpoint_or_its_state_dict(tmp_path, load, inside, caplog):
    published, model, path = Small(), Small(), tmp_path / "weights.pth.tar"
    state = wrapped(published.state_dict())
    torch.save({"model_state_dict": state, "epoch": 7} if inside else state, path)
    with caplog.at_level(logging.INFO, "zsda"):
        load(model, path)
    assert same(published, model)
    if load is not load_published:
        said = [f"read {path}: {len(state)} tensors of epoch 7; not used: epoch"]
        assert caplog.messages == (said if inside else [])


def test_keys_and_shapes_that_differ_are_named(tmp_path):
    model, path = Small(), tmp_path / "weights.pth.tar"
    state = wrapped(model.state_dict())
    del state["module.backbone.1.bias"]
    state["module.extra"] = torch.zeros(1)
    state["module.backbone.1.weight"] = torch.zeros(3)
    torch.save({"model_state_dict": state}, path)
    message = "missing: backbone.1.bias; unknown: extra; shapes: backbone.1.weight is (3,), expected (4,)"
    with pytest.raises(ModelError, match=re.escape(f"{path} does not fit Small: {message}; choose the model=")):
        load_published(model, path)
    assert not same(model, Small())


def without_storage(network, *arguments):
    """The state dict of a network of any size, all zeros, in a few bytes."""
    with torch.device("meta"):
        state = network(*arguments).state_dict()
    return {f"module.{key}": torch.zeros(()).expand(value.shape) for key, value in state.items()}


@pytest.mark.parametrize(
    ("network", "arguments", "advice"),
    [
        (DeepLabV3Plus, (4, "resnet101"), "model.backbone=resnet101"),
        (DeepLabV3Plus, (20, "resnet18"), "model.num_classes=20"),
        (DeepLabV3Plus, (20, "resnet34"), "model.backbone=resnet34 model.num_classes=20"),
        (DeepLabV2, (19, "resnet101"), "model=deeplabv2 model.backbone=resnet101 model.num_classes=19"),
        (RefineNet, (20, "resnet50"), "model=refinenet model.backbone=resnet50 model.num_classes=20"),
    ],
)
def test_the_message_says_what_to_choose(tmp_path, network, arguments, advice):
    path = tmp_path / "weights.pth.tar"
    torch.save({"model_state_dict": without_storage(network, *arguments)}, path)
    with torch.device("meta"):
        model = DeepLabV3Plus(4, "resnet18")
    for load, rest in ((load_published, ""), (load_start_weights, ", or model.weights=null to start without it")):
        with pytest.raises(ModelError, match=f"choose the model= that the file was made with: {advice}{rest}$"):
            load(model, path)


class Executed:
    def __init__(self, call, *arguments):
        self.call = (call, arguments)

    def __reduce__(self):
        return self.call


def function():
    raise AssertionError


@pytest.mark.parametrize(
    ("intruder", "name"),
    [
        (lambda path: Executed(os.mkdir, str(path / "executed")), "posix.mkdir"),
        (lambda path: Executed(exec, f"import os; os.mkdir({str(path / 'executed')!r})"), "exec"),
        (lambda path: Executed, "tests.models.test_published.Executed"),
        (lambda path: function, "tests.models.test_published.function"),
        (lambda path: np.ones(3), "numpy._core.multiarray._reconstruct"),
        (lambda path: np.int64(3), "numpy.dtype(i8)"),
        (lambda path: np.float32(3), "numpy.dtype(f4)"),
        (lambda path: np.datetime64("2026-01-01"), "numpy.dtype(M8)"),
        (lambda path: Path("weights"), "pathlib.PosixPath"),
        (lambda path: {"lr": Fraction(1, 3)}, "fractions.Fraction"),
    ],
    ids=["system call", "code", "class", "function", "array", "integer", "float32", "date", "path", "fraction"],
)
def test_what_is_no_weight_is_refused_and_nothing_executed(tmp_path, intruder, name):
    model, path = Small(), tmp_path / "weights.pth.tar"
    torch.save({"model_state_dict": wrapped(model.state_dict()), "args": intruder(tmp_path)}, path)
    with pytest.raises(ModelError, match=f"it holds {re.escape(name)}, which is no weight, and nothing of it was exec"):
        load_published(model, path)
    assert not (tmp_path / "executed").exists()


class Written:
    """Pickles as a call of a name with any arguments, as no honest file would have it."""

    def __init__(self, name, *arguments, state=None):
        self.name, self.arguments, self.state = name, arguments, state

    def __reduce__(self):
        module, _, attribute = self.name.rpartition(".")
        return getattr(importlib.import_module(module), attribute), self.arguments, self.state


SCALAR, DTYPE = "numpy._core.multiarray.scalar", "numpy.dtype"


@pytest.mark.parametrize(
    "content",
    [
        Written(SCALAR, Written(DTYPE, "i8"), b"12345678"),
        Written(SCALAR, Written(DTYPE, "V2000000000"), b""),
        Written(SCALAR, Written(DTYPE, "O"), b"12345678"),
        Written(SCALAR, Written(DTYPE, "f8"), b"1234567"),
        Written(SCALAR, Written(DTYPE, "f8"), [1.0]),
        Written(SCALAR, 3, b"12345678"),
        Written(DTYPE, [("a", "O"), ("b", "f8")]),
        Written(DTYPE, "V2000000000"),
    ],
    ids=["integer", "huge", "object", "short", "list", "no type", "structure", "type alone"],
)
def test_only_a_float64_of_numpy_is_let_in(tmp_path, content):
    path = tmp_path / "weights.pth.tar"
    torch.save({"model_state_dict": wrapped(Small().state_dict()), "best_miou": content}, path)
    with pytest.raises(ModelError, match=r"it holds numpy\.(dtype|scalar)\S*, which is no weight, and nothing of it"):
        load_published(Small(), path)


def test_a_float64_whose_flags_were_forged_is_a_float(tmp_path):
    path = tmp_path / "weights.pth.tar"
    forged = Written(DTYPE, "f8", False, True, state=(3, "<", None, None, None, -1, -1, 63))
    torch.save({"model_state_dict": {}, "best_miou": Written(SCALAR, forged, struct.pack("<d", 0.43))}, path)
    found = read_torch_file(path)["best_miou"]
    assert (type(found), found) == (float, 0.43)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_a_truncated_file_is_named_in_one_line(tmp_path, zipped):
    path = tmp_path / "weights.pth.tar"
    torch.save({"model_state_dict": {"weight": torch.zeros(2000)}}, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(
            ModelError, match=r"weights\.pth\.tar cannot be read as weights: .*; expected a complete file"
        ) as e:
            load_published(Small(), path)
        assert "\n" not in str(e.value)
        assert "weights_only" not in str(e.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"epoch": 3, "state_dict": {"weight": torch.zeros(1)}}, "a mapping with epoch, state_dict"),
        ({"epoch": 3, "model_state_dict": [1]}, "a mapping with epoch, model_state_dict"),
        ([torch.zeros(1)], "a list"),
    ],
)
def test_a_file_without_a_state_dict_says_what_it_holds(tmp_path, content, found):
    torch.save(content, tmp_path / "weights.pth.tar")
    with pytest.raises(
        ModelError, match=f"holds no plain state dict, but {found}; expected .* or under model_state_dict"
    ):
        load_published(Small(), tmp_path / "weights.pth.tar")


class SmallV2(Small):
    """A network as HIAST saves it, with a part that nothing reads."""

    may_lack = ("representation.",)

    def __init__(self):
        super().__init__()
        self.representation = torch.nn.Sequential(torch.nn.Conv2d(4, 2, 1))


def of_hiast(network, discriminator=None, prefix=""):
    """Keys as HIAST and IAST name them."""
    state = {f"{prefix}seg_model.{key}": value for key, value in network.state_dict().items()}
    if discriminator is not None:
        state |= {f"{prefix}D.{key}": value for key, value in discriminator.state_dict().items()}
    return state


@pytest.mark.parametrize("load", [load_published, load_weights, load_start_weights])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("warm_up", [True, False])
def test_a_checkpoint_of_hiast_is_read(tmp_path, load, prefix, warm_up):
    published, model, path = SmallV2(), SmallV2(), tmp_path / "HIAST_final.pth"
    torch.save(of_hiast(published, Discriminator(5) if warm_up else None, prefix), path)
    report = load(model, path)
    assert same(published, model)
    if load is load_published:
        assert (report.tensors, report.others) == (len(published.state_dict()), ("D",) if warm_up else ())


def test_the_real_network_has_the_published_names(tmp_path):
    path = tmp_path / "HIAST_final.pth"
    torch.save({f"seg_model.{key}": value for key, value in state_dict("hiast_deeplabv2_resnet101").items()}, path)
    model = DeepLabV2(19).eval()
    load_published(model, path)
    with torch.no_grad():
        logits = model.forward_features(image())
    assert (logits - torch.from_numpy(recorded("hiast_deeplabv2_resnet101")["logits"])).abs().max() < 1e-4


def test_the_discriminator_of_a_warm_up_is_read(tmp_path):
    published, model, path = Discriminator(5), Discriminator(5), tmp_path / "warm_up.pth"
    torch.save(of_hiast(SmallV2(), published), path)
    report = load_published(model, path)
    assert same(published, model)
    assert report.others == ("seg_model",)
    advice = "choose the num_classes= and first_kernel= that the file was made with$"
    with pytest.raises(
        ModelError, match=rf"shapes: conv1.weight is \(64, 5, 4, 4\), expected \(64, 5, 3, 3\); {advice}"
    ):
        load_published(Discriminator(5, first_kernel=3), path)
    torch.save(of_hiast(SmallV2()), path)
    with pytest.raises(ModelError, match=r"warm_up.pth holds no discriminator; expected names under D\., as in a warm"):
        load_published(model, path)


def test_a_discriminator_by_itself_is_no_network(tmp_path):
    published, model, path = Discriminator(5), Discriminator(5), tmp_path / "D.pth"
    torch.save({f"D.{key}": value for key, value in published.state_dict().items()}, path)
    assert load_published(model, path).others == ()
    assert same(published, model)
    with pytest.raises(ModelError, match=r"D.pth holds no network; expected names under seg_model\., as in a warm-up"):
        load_published(SmallV2(), path)


def test_an_older_file_may_lack_the_whole_representation(tmp_path):
    published, model, path = SmallV2(), SmallV2(), tmp_path / "old.pth"
    state = of_hiast(published)
    own = model.representation[0].weight.clone()
    for name in ("weight", "bias"):
        del state[f"seg_model.representation.0.{name}"]
        torch.save(state, path)
        if name == "weight":  # a part of it is no older file
            with pytest.raises(ModelError, match=r"missing: representation.0.weight; choose"):
                load_published(model, path)
    load_published(model, path)
    assert torch.equal(published.classifier.weight, model.classifier.weight)
    assert torch.equal(model.representation[0].weight, own)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("seg_model.backbone.1.running_var"), "does not fit SmallV2: missing: backbone.1.running_var;"),
        (lambda s: s.update({"seg_model.aux.weight": torch.zeros(1)}), "does not fit SmallV2: unknown: aux.weight;"),
        (
            lambda s: s.update({"ema.weight": torch.zeros(1)}),
            r"holds ema.weight; expected names under seg_model\. and D\. only",
        ),
        (
            lambda s: s.update({"classifier.weight": torch.zeros(1), "x": torch.zeros(1)}),
            "holds classifier.weight and 1 more;",
        ),
        (
            lambda s: s.update({"seg_model.classifier.bias": torch.zeros(6)}),
            r"shapes: classifier.bias is \(6,\), expected \(5,\)",
        ),
    ],
    ids=["missing", "unknown", "foreign", "hidden", "shape"],
)
def test_what_does_not_fit_a_checkpoint_of_hiast_is_named(tmp_path, change, message):
    model, path = SmallV2(), tmp_path / "HIAST_final.pth"
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = of_hiast(SmallV2())
    change(state)
    torch.save(state, path)
    with pytest.raises(ModelError, match=message):
        load_published(model, path)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
