"""Folders and files from somebody else: nothing in them is called, looked up, fetched or followed, and one line names it.

Each kind would leave a canary: a folder that is made, or the value of an environment variable that is printed.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conftest import one_line, run
from tests.generation.conftest import draw_cityscapes
from tests.pipeline import make_pipeline
from zsda.core.files import file_digest
from zsda.core.runs import PhaseFolder
from zsda.models.library import library_model
from zsda.training.checkpoints import RotatingCheckpoints

SECRET = "value-of-an-environment-variable"
NETWORK = {"architecture": "unet", "encoder": "tu-resnet10t", "num_classes": 19, "encoder_depth": 3}
TRAIN = [
    "method=source_only", "~method.phases.source.epochs", "+method.phases.source.steps=2", "method.phases.source.horizon=2",
    "trainer=cpu", "model=smp", "model.pretrained=false", "model.architecture=unet", "model.encoder=tu-resnet10t",
    "+model.encoder_depth=3", "+model.decoder_channels=[16,16,16]", "data.transform.size=[64,128]",
    "data.transform.crop=null", "data.batch_size=4", "machine.num_workers=0", "name=a", "data.watch=[]",
]  # fmt: skip


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture(scope="module")
def made(world, tmp_path_factory) -> Path:
    """A folder with a finished, scored run."""
    folder = tmp_path_factory.mktemp("made")
    for command, words in (
        ("train", TRAIN),
        ("eval", ["run=a", "setting=day", "trainer=cpu", "machine.num_workers=0"]),
    ):
        result = run(command, *words, f"data_root={world}", cwd=folder)
        assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """The same for one test, with something to pickle and something to call."""
    folder = Path(shutil.copytree(made, tmp_path / "work"))
    torch.save({"state_dict": {}, "evil": Canary(folder / "canary")}, folder / "evil.pth")
    touch = {
        "_target_": "pathlib.Path.touch",
        "_args_": [{"_target_": "pathlib.Path", "_args_": [str(folder / "canary")]}],
    }
    (folder / "own.yaml").write_text(json.dumps(touch))
    return folder


def touch(folder):
    return json.loads((folder / "own.yaml").read_text())


def outside(folder):
    """A path that leads from the folder of configs to own.yaml."""
    return f"{'../' * 20}{str(folder / 'own').lstrip('/')}"


def edit(path, *keys, to):
    """Sets one value below nested keys of a JSON file."""
    record = json.loads(path.read_text())
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    path.write_text(json.dumps(record))


def attempt(folder, command, *words):
    """Runs a command on what was spoilt; returns its one line of error."""
    result = run(command, *words, cwd=folder, env={"CANARY": SECRET, "COLUMNS": "500"})
    said = result.stdout + result.stderr
    assert not (folder / "canary").exists(), said
    assert SECRET not in said
    assert "\x1b]" not in said
    assert result.returncode == 2, said
    return one_line(result)


RUN_KINDS = {
    "a class in the settings": (
        lambda f: (("settings", "model", "encoder"), touch(f)),
        "settings.model.encoder._target_",
    ),
    "a class elsewhere in the settings": (
        lambda f: (("settings", "data", "x"), [touch(f)]),
        "settings.data.x.0._target_",
    ),
    "a class as argument": (
        lambda f: (("header", "network", "arguments", "encoder"), touch(f)),
        "header.network.arguments.encoder._target_",
    ),
    "a class by a dotted name": (
        lambda _: (("header", "network", "arguments", "encoder._target_"), "os.abort"),
        "model.encoder._target_ is no argument",
    ),
    "another class": (lambda _: (("header", "network", "classes", "model"), "os.abort"), "a network of os.abort"),
    "a path as option": (
        lambda f: (("header", "network", "option"), outside(f)),
        "header.network.option: expected names",
    ),
    "an unknown option": (lambda _: (("header", "network", "option"), "own"), "no option 'own' of model"),
    "a path among the choices": (
        lambda f: (("choices", "model"), outside(f)),
        "choices.model: expected names of options",
    ),
    "a variable in the settings": (
        lambda _: (("settings", "model", "encoder"), "${oc.env:CANARY}"),
        'settings.model.encoder is "${oc.env:CANARY}", which would be looked up',
    ),
    "a variable as argument": (
        lambda _: (("header", "network", "arguments", "encoder"), "${oc.env:CANARY}"),
        "header.network.arguments.encoder is",
    ),
    "a variable in a name": (lambda _: (("header", "method"), "a${oc.env:CANARY}"), "header.method is"),
    "a pickle as argument": (
        lambda _: (("header", "network", "arguments", "checkpoint_path"), "evil.pth"),
        "model.checkpoint_path is no option of unet",
    ),
    "the hub as argument": (
        lambda _: (("header", "network", "arguments", "encoder"), "tu-hf-hub:owner/model"),
        "model.encoder=tu-hf-hub:owner/model: no such encoder",
    ),
    "a folder as argument": (
        lambda _: (("header", "network", "arguments", "encoder"), "tu-local-dir:/tmp"),
        "no such encoder",
    ),
    "weights as argument": (
        lambda _: (("header", "network", "arguments", "encoder_weights"), "imagenet"),
        "model.encoder_weights is no option",
    ),
    "a giant network": (
        lambda _: (("header", "network", "arguments", "decoder_channels"), [2**40, 2**40, 2**40]),
        "model.architecture=unet",
    ),
    "a phase elsewhere": (lambda _: (("phases",), ["../../elsewhere"]), "phases.0"),
    "control characters": (lambda _: (("header", "method"), "\x1b]0;evil\x07"), "with control characters"),
    "a path as target": (lambda _: (("header", "target"), "../day"), "header.target"),
    "a cell of a table as source": (lambda _: (("header", "source_setting"), "day | 99"), "header.source_setting"),
    "no size": (lambda _: (("header", "size"), [64, 10**9]), "header.size.1"),
    "a name of no meaning": (lambda _: (("header", "_evil"), 1), "header._evil is no name that zsda writes"),
}


@pytest.mark.parametrize("kind", RUN_KINDS)
def test_a_run_folder_is_data(folder, world, kind):
    change, message = RUN_KINDS[kind]
    keys, value = change(folder)
    edit(folder / "runs/a/run.json", *keys, to=value)
    assert message in attempt(folder, "eval", "run=a", "setting=day", f"data_root={world}", "trainer=cpu")


@pytest.mark.parametrize("command", [["export", "run=a"], ["report", "runs=a"], ["train", *TRAIN]], ids=lambda c: c[0])
def test_every_command_reads_a_run_folder_as_data(folder, world, command):
    edit(folder / "runs/a/run.json", "settings", "model", "encoder", to=touch(folder))
    data = [] if command[0] in ("report", "export") else [f"data_root={world}"]
    assert "settings.model.encoder._target_" in attempt(folder, *command, *data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("run.json", b"[" * 100_000, "run.json: cannot be read"),
        ("run.json", b'{"settings": ' + b"9" * 5000 + b"}", "run.json: cannot be read"),
        ("source/phase.json", b'{"epochs": {"_target_": "os.abort"}}', "epochs._target_"),
        ("source/phase.json", b'{"epochs": 1, "steps": "${oc.env:CANARY}"}', "steps is"),
        ("source/phase.json", b"[]", "phase.json: holds no JSON object"),
    ],
    ids=range(5),
)
def test_its_other_files_are_data_too(folder, world, name, content, message):
    (folder / "runs/a" / name).write_bytes(content)
    assert message in attempt(folder, "eval", "run=a", "setting=day", f"data_root={world}", "trainer=cpu")


def test_a_pipe_in_place_of_a_file_does_not_wait(folder, world):
    (folder / "runs/a/run.json").unlink()
    os.mkfifo(folder / "runs/a/run.json")
    message = attempt(folder, "eval", "run=a", "setting=day", f"data_root={world}", "trainer=cpu")
    assert "runs/a holds no run of zsda.train" in message


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["settings", "day", "miou"], 7.5, "settings.day.miou: input should be less than or equal to 1"),
        (["settings", "day", "miou"], {"_target_": "os.abort"}, "settings.day.miou._target_"),
        (["protocol"], "${oc.env:CANARY}", "protocol is"),
        (["settings", "\x1b]0;evil\x07"], {}, "no name that zsda writes"),
        (["files"], {}, "its scores are not those of the settings in files"),
        (["more"], 1, "more is no name that zsda writes"),
        (["settings", "day", "miou_present"], None, "settings.day.miou_present"),
    ],
    ids=range(7),
)
def test_scores_are_data(folder, keys, value, message):
    edit(folder / "runs/a/eval/day_sdgpa/scores.json", *keys, to=value)
    assert message in attempt(folder, "report", "runs=a")


def forge_digest(phase):
    """Whoever hands on a run can write any digest into it."""
    report = json.loads((phase / "phase.json").read_text())
    digests = {name: file_digest(phase / name) for name in report["digests"]}
    (phase / "phase.json").write_text(json.dumps({**report, "digests": digests}))


def test_weights_that_are_a_pickle_are_not_unpickled(folder, world):
    shutil.copy(folder / "evil.pth", folder / "runs/a/source/weights.safetensors")
    forge_digest(folder / "runs/a/source")
    words = ["setting=day", f"data_root={world}", "trainer=cpu"]
    assert "weights.safetensors cannot be read as weights" in attempt(folder, "eval", "run=a", *words)
    assert "holds posix.mkdir, which is no weight" in attempt(folder, "eval", "ckpt=evil.pth", "model=smp", *words)


def test_a_checkpoint_that_is_a_pickle_is_not_unpickled(folder, world):
    (folder / "runs/a/source/phase.json").unlink()
    shutil.copy(folder / "evil.pth", folder / "runs/a/source/last.ckpt")
    message = attempt(folder, "train", *TRAIN, f"data_root={world}")
    assert "last.ckpt cannot be read" in message
    assert "delete it to start this phase anew" in message


@pytest.mark.parametrize("spoil", ["nothing in it", "another network", "no report", "no numbers", "no state"])
def test_a_checkpoint_of_something_else_is_one_line(folder, world, spoil):
    (folder / "runs/a/source/phase.json").unlink()
    path = folder / "runs/a/source/last.ckpt"
    state = torch.load(path, weights_only=True)
    change = {
        "another network": {"state_dict": {}},
        "no report": {"report": 1},
        "no numbers": {"callbacks": {"Resumption": {"random": [{"torch": 1}]}}},
        "no state": {"callbacks": {"Resumption": 1}},
    }
    torch.save({} if spoil == "nothing in it" else {**state, **change[spoil]}, path)
    message = attempt(folder, "train", *TRAIN, f"data_root={world}")
    assert "last.ckpt" in message
    assert "delete it to start this phase anew" in message


def test_a_checkpoint_neither_deletes_nor_looks_up_what_it_names(folder, world):
    (folder / "runs/a/source/phase.json").unlink()
    (folder / "precious").mkdir()
    (folder / "precious/mine").write_text("mine")
    path = folder / "runs/a/source/last.ckpt"
    state = torch.load(path, weights_only=True)
    # What Lightning's own callback would write, and take up: which file to replace by the next one.
    state["callbacks"]["ModelCheckpoint{'every_n_epochs': 1}"] = {"best_model_path": "runs/a/source/../../../precious"}
    torch.save(state, path)
    words = [word.replace("steps=2", "steps=4").replace("horizon=2", "horizon=4") for word in TRAIN]
    for key in ("steps", "horizon"):
        edit(folder / "runs/a/run.json", "settings", "method", "phases", "source", key, to=4)
    result = run("train", *words, f"data_root={world}", cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "resuming from" in result.stdout
    assert json.loads((folder / "runs/a/source/phase.json").read_text())["steps"] == 4
    assert (folder / "precious/mine").read_text() == "mine"


def test_of_a_checkpoint_nothing_is_kept_that_names_files(folder):
    path = folder / "runs/a/source/last.ckpt"
    state = torch.load(path, weights_only=True)
    torch.save({**state, "callbacks": {**state["callbacks"], "ModelCheckpoint": {"best_model_path": "precious"}}}, path)
    files = RotatingCheckpoints(PhaseFolder(path.parent))
    assert list(files.load_checkpoint(path, weights_only=True)["callbacks"]) == ["Resumption"]
    (folder / "precious").mkdir()
    with pytest.raises(OSError, match="precious"):
        files.remove_checkpoint(folder / "precious")


def test_names_of_tensors_do_not_write_to_the_terminal(folder, world):
    save_file({"\x1b]0;evil\x07": torch.zeros(1)}, folder / "runs/a/source/weights.safetensors")
    forge_digest(folder / "runs/a/source")
    message = attempt(folder, "eval", "run=a", "setting=day", f"data_root={world}", "trainer=cpu")
    assert "\\x1b]0;evil\\x07" in message


def test_scores_without_their_weights_are_one_line(folder):
    (folder / "runs/a/source/weights.safetensors").unlink()
    assert "source/weights.safetensors is gone; start its python -m zsda.train again" in attempt(
        folder, "report", "runs=a"
    )


@pytest.fixture(scope="module")
def editor(tmp_path_factory) -> Path:
    return make_pipeline(tmp_path_factory.mktemp("editor") / "tiny")


@pytest.fixture(scope="module")
def generated(editor, tmp_path_factory) -> Path:
    """A folder in which one set was made."""
    folder = tmp_path_factory.mktemp("generated")
    draw_cityscapes(folder / "data/cityscapes", train=2)
    result = run("generate", *generate(editor), cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder


def generate(editor, *more):
    sizes = ["canvas=[128,64]", "patch_size=64", "batch_size=4", "editor.steps=2"]
    return [
        "domain=night",
        "recipe=[target]",
        "trainer=cpu",
        "machine.num_workers=0",
        *sizes,
        f"editor.model={editor}",
        *more,
    ]


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["editor", "x"], {"_target_": "os.abort"}, "editor.x._target_ is no name that zsda writes"),
        (["domain", "prompt"], "${oc.env:CANARY}", "domain.prompt is"),
        (["seed"], "\x1b]0;evil\x07", "with control characters"),
        (["seed"], 1, "made with other settings: seed was 1 and is now 0"),
    ],
    ids=range(4),
)
def test_a_generated_set_is_data(generated, editor, tmp_path, keys, value, message):
    folder = shutil.copytree(generated, tmp_path / "work")
    edit(folder / "data/night_target/generation.json", *keys, to=value)
    assert message in attempt(folder, "generate", *generate(editor))


@pytest.mark.parametrize(
    "line",
    [
        {"source": "../../outside.png", "output": "../../outside.png"},
        {"source": "/tmp/outside.png", "output": None, "retries": [{"patch": 0}]},
        {"source": "{first}", "output": "/etc/passwd"},
        {"source": "{first}", "output": None, "retries": "${oc.env:CANARY}"},
        {"source": "{first}", "output": None, "retries": []},
        {"source": "{first}", "source_digest": "", "output": "{first}", "digest": "", "layout_score": 7.5},
        [["source"]],
    ],
    ids=range(7),
)
def test_a_line_of_a_manifest_that_is_none_is_passed_over_and_its_image_made_again(generated, editor, tmp_path, line):
    folder = shutil.copytree(generated, tmp_path / "work")
    (folder / "outside.png").write_bytes(b"mine")
    manifest = folder / "data/night_target/manifest.jsonl"
    first, *others = whole = manifest.read_text().splitlines()
    spoilt = json.dumps(line).replace("{first}", json.loads(first)["source"])
    manifest.write_text("\n".join([spoilt, *others, ""]))
    result = run("generate", *generate(editor), cwd=folder, env={"CANARY": SECRET})
    assert result.returncode == 0, result.stderr
    assert "night_target: 1 made, 1 were there already" in result.stdout
    assert manifest.read_text().splitlines() == whole
    assert (folder / "outside.png").read_bytes() == b"mine"
    assert SECRET not in result.stdout + result.stderr


def test_pipes_in_a_set_are_not_waited_for(generated, editor, tmp_path):
    folder = shutil.copytree(generated, tmp_path / "work")
    whole = (folder / "data/night_target/manifest.jsonl").read_bytes()
    image = next((folder / "data/night_target").glob("leftImg8bit/*/*/*.png"))
    image.unlink()
    os.mkfifo(image)
    result = run("generate", *generate(editor), cwd=folder)
    assert "night_target: 1 made, 1 were there already" in result.stdout, result.stderr
    assert (folder / "data/night_target/manifest.jsonl").read_bytes() == whole
    (folder / "data/night_target/manifest.jsonl").unlink()
    os.mkfifo(folder / "data/night_target/manifest.jsonl")
    assert "manifest.jsonl: no regular file" in attempt(folder, "generate", *generate(editor))


def test_a_prompt_of_any_language_makes_a_set_that_goes_on(editor, tmp_path):
    draw_cityscapes(tmp_path / "data/cityscapes", train=2)
    for there in (0, 2):
        result = run("generate", *generate(editor, "domain.prompt='make\u00a0it\u3000night'"), cwd=tmp_path)
        assert f"{2 - there} made, {there} were there already" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"),
    [
        ("model_index.json", ["unet"], ["os", "system"], 'model_index.json has unet=["os", "system"]'),
        ("model_index.json", ["mine"], ["os", "system"], "expected no such parts"),
        ("text_encoder/config.json", ["_attn_implementation"], "owner/kernel", '_attn_implementation="owner/kernel"'),
        ("unet/config.json", ["quantization_config"], {"quant_method": "torchao"}, "quantization_config="),
        ("scheduler/scheduler_config.json", ["num_train_timesteps"], 10**9, "num_train_timesteps=1000000000"),
    ],
    ids=range(5),
)
def test_an_editor_folder_is_data(editor, tmp_path, name, keys, value, message):
    folder = shutil.copytree(editor, tmp_path / "work/editor").parent
    draw_cityscapes(folder / "data/cityscapes", train=2)
    edit(folder / "editor" / name, *keys, to=value)
    assert message in attempt(folder, "generate", *generate("editor"))
    assert not (folder / "data/night_target").exists()


def test_the_recorded_network_is_the_one_that_these_tests_spoil(made):
    record = json.loads((made / "runs/a/run.json").read_text())["header"]["network"]
    assert record["arguments"].items() >= NETWORK.items()
    assert library_model(**record["arguments"])
