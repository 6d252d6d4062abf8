import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from zsda.core.errors import ConfigError
from zsda.core.words import ready, shared_keys


def read(command, *words):
    """Returns what Hydra makes of the words."""
    parse = OverridesParser.create().parse_override
    return [parse(word).value() for word in ready(words, command) if not word.startswith("-")]


PROMPTS = [
    "What would it look like if it's dusk?",
    "make it dusk, with lamps lit",
    "make it dusk (after rain)",
    "rain #2",
    "2024",
    "1e5",
    "true",
    "a & b = c; d | e",
    "[wet] {cold}",
    'say "cheese"',
    '"dusk" and "dawn"',
    'ends with "',
    "C:\\night\\",
    "range(1,3)",
    "choice(a,b)",
    "50 % rain: heavy!",
    "ビッグ, 夜",
]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("command", ["generate", "preview", "train"])
def test_a_prompt_is_taken_as_it_stands(command, prompt):
    assert read(command, f"domain.prompt={prompt}") == [prompt]
    assert read(command, f"+domain.prompt={prompt}") == [prompt]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_quoted_once_it_stays_as_it_is(prompt):
    once = ready([f"domain.prompt={prompt}"], "generate")
    assert ready(once, "generate") == once


def test_hydras_own_quotes_are_left_alone():
    for word in (
        'domain.prompt="it\'s dusk, with lamps"',
        "domain.prompt='dusk'",
        "name=job${hydra:job.num}",
        "name=plain",
    ):
        assert ready([word], "train") == [word]


@pytest.mark.parametrize(
    ("command", "word", "value"),
    [
        ("train", "name=1.10", "1.10"),
        ("train", "name=2024_05_01", "2024_05_01"),
        ("train", "name=55e12345", "55e12345"),
        ("train", "start_run=1e5", "1e5"),
        ("train", "data_root=/data/a,b (old)", "/data/a,b (old)"),
        ("eval", "ckpt=out/epoch=3-step=5.ckpt", "out/epoch=3-step=5.ckpt"),
        ("eval", "run=1e5", "1e5"),
        ("eval", "run=[a,1.10,2024_05_01]", ["a", "1.10", "2024_05_01"]),
        ("eval", "run=[a, 7]", ["a", "7"]),
        ("eval", "run=*_seed0", "*_seed0"),
        ("report", "runs=[1.10]", ["1.10"]),
        ("generate", "domain=2024_05_01", "2024_05_01"),
        ("generate", "domain.name=2024_05_01", "2024_05_01"),
        ("generate", "editor.revision=1234567", "1234567"),
        ("train", "experiment=7", "7"),
    ],
)
def test_a_name_that_looks_like_a_number_is_a_name(command, word, value):
    assert read(command, word) == [value]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("name=null", None),
        ("start_run=null", None),
        ("seed=3", 3),
        ("optimizer.lr=1e-3", 1e-3),
        ("machine.devices=2", 2),
    ],
)
def test_what_is_no_text_keeps_its_type(word, value):
    assert read("train", word) == [value]


def test_a_sweep_stays_one_and_its_names_are_texts():
    words = ["-m", "name=1.10,2.20", "optimizer=sgd,adamw", "method=glob(*)", "seed=range(0,3)", "experiment=1.10,b"]
    swept = [
        "-m",
        'name="1.10","2.20"',
        "optimizer=sgd,adamw",
        "method=glob(*)",
        "seed=range(0,3)",
        'experiment="1.10",b',
    ]
    assert ready(words, "train") == swept
    assert ready(["-m", "domain.prompt=it's dusk", "name=1.10"], "generate") == [
        "-m",
        'domain.prompt="it\'s dusk"',
        'name="1.10"',
    ]


def test_several_names_without_brackets_are_left_to_hydra_which_refuses_them():
    assert ready(["run=a,b", "setting=day,fog"], "eval") == ["run=a,b", "setting=day,fog"]


def test_no_option_of_a_group():
    assert ready(["domain=null", "+experiment=", "logger=[]"], "train") == ["domain=[]", "+experiment=[]", "logger=[]"]
    with pytest.raises(ConfigError, match=r"^optimizer=null; expected one of adam, adamw, sgd$"):
        ready(["optimizer=null"], "train")


def test_a_sweep_by_its_mode_is_one():
    words = ["hydra.mode=MULTIRUN", "name=a,b"]
    assert ready(words, "train") == words


def test_the_home_of_a_user_is_found_behind_an_equals_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert ready(["runs_root=~/runs", "name=~"], "train") == ["runs_root=/home/me/runs", 'name="~"']


def test_a_check_needs_no_source():
    assert ready(["data=null"], "check") == ["data=[]"]


def test_what_jobs_of_a_sweep_share():
    words = ["-m", "seed=1,2", "name=job${hydra:job.num}", "+optimizer=glob(a*)", "model.width=3"]
    assert shared_keys(words) == {"name", "model.width"}
