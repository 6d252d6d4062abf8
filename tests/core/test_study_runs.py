"""The lists of a study: which runs they ask for, what those are, and what is told of a wrong list."""

import copy
import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from zsda.core.config import conf_dir
from zsda.core.errors import ConfigError
from zsda.core.study_runs import study_list, study_runs

DOMAINS = {"night", "snow", "rain", "fog", "game"}


def composed(command, *words):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose(command, list(words))


def runs(*words):
    config = composed("study", *words)
    return study_runs(study_list(config, "miniature"), config.parts, config.seeds)


@pytest.fixture(scope="module")
def miniature():
    return runs("world=miniature")


def test_the_study_of_the_miniature_has_every_run_that_its_tables_need(miniature):
    found = {}
    for run in miniature:
        assert run.seed in (0, 1, 2)
        found.setdefault(run.method, set()).add(run.domain)
    everywhere = (
        "whole",
        "target_only",
        "intermediate_only",
        "sdgpa",
        "sdgpa_then_hiast",
        "sdgpa_then_hiast_generated",
        "oracle",
    )
    assert all(found[method] == DOMAINS for method in everywhere)
    assert all(
        found[method] == {"night", "rain", "fog"} for method in ("weather", "one_phase", "reversed", "keep_source")
    )
    assert all(found[method] == {"night", "rain"} for method in ("sdgpa_best_90", "sdgpa_best_75"))
    assert all(
        found[method] == {None, "night"} for method in ("ias", "ias_paste", "ias_paste_regularised", "constant", "cbst")
    )
    assert all(found[method] == {None} for method in ("source_only", "source_2x", "hiast", "adaptsegnet"))
    names = [run.name for run in miniature]
    assert len(names) == len(set(names)) == 3 * 65
    for method in found:
        of_method = [run for run in miniature if run.method == method]
        assert len({run.seed for run in of_method}) == 3
        assert len(of_method) == 3 * len({run.name.removesuffix(f"_seed{run.seed}") for run in of_method})


def test_seeds_come_last_and_what_a_run_starts_from_comes_before_it(miniature):
    assert [run.seed for run in miniature] == sorted(run.seed for run in miniature)
    names = [run.name for run in miniature]
    started = [run for run in miniature if run.start]
    assert all(names.index(run.start) < names.index(run.name) for run in started)
    assert {run.method for run in miniature} - {run.method for run in started} == {
        "source_only", "source_2x", "weather", "whole", "target_only", "one_phase", "reversed", "keep_source", "sdgpa", "oracle",
        "sdgpa_best_90", "sdgpa_best_75", "adaptsegnet",
    }  # fmt: skip


def test_every_run_has_the_phases_of_its_method(miniature):
    """Those of a row that is no method of its own are those of the one it is made of."""
    made_of = {"sdgpa_best_90": "sdgpa", "sdgpa_best_75": "sdgpa", "sdgpa_then_hiast_generated": "sdgpa_then_hiast"}
    phases, steps = {}, {}
    for run in (run for run in miniature if run.seed == 0 and run.domain in (None, "night")):
        config = composed("train", *run.words, "world=miniature")
        of_parts = "hiast" if run.domain is None else "sdgpa_then_hiast"
        parts = ("ias", "ias_paste", "ias_paste_regularised", "constant", "cbst")
        plain = made_of.get(run.method, of_parts if run.method in parts else run.method)
        phases[run.name] = (
            list(config.method.phases),
            list(composed("train", f"method={plain}", "domain=night").method.phases),
        )
        steps.setdefault(plain, set()).add(sum(phase.get("epochs") or 0 for phase in config.method.phases.values()))
        assert (config.name, config.seed, config.method.name) == (run.name, 0, run.method)
    assert all(found == wanted for found, wanted in phases.values()), phases
    assert steps.pop("adaptsegnet") == {72 + 6} == steps.pop("hiast")
    assert set().union(*steps.values()) == {6}, "the same length"


def test_the_runs_are_what_their_names_say(miniature):
    by_name = {run.name: run for run in miniature}

    def config(name):
        return composed("train", *by_name[name].words, "world=miniature")

    ias, whole = config("night_ias_seed1"), config("night_sdgpa_then_hiast_seed1")
    assert (ias.seed, ias.name, ias.start_run) == (1, "night_ias_seed1", "night_sdgpa_seed1")
    assert "ACDC" in ias.unlabelled.images.root
    for number in (1, 2, 3):
        parts, full = ias.method.phases[f"round{number}"], whole.method.phases[f"round{number}"]
        assert (full.steps, full.horizon) == (parts.steps, parts.horizon) == (15, 15)
        assert parts.data.copy_paste is None
        assert full.data.copy_paste is not None
        assert {parts.task[f"{name}_weight"] for name in ("kld", "entropy", "consistency")} == {0}
        assert min(full.task[f"{name}_weight"] for name in ("kld", "entropy", "consistency")) > 0
    pasted, regular = (
        config(f"game_to_day_{name}_seed0").method.phases.round2 for name in ("ias_paste", "ias_paste_regularised")
    )
    assert pasted.data.copy_paste is not None
    assert (pasted.task.kld_weight, pasted.task.consistency_weight) == (0, 0)
    assert min(regular.task.kld_weight, regular.task.entropy_weight) > regular.task.consistency_weight == 0
    for name, selector in (("constant", "ConstantSelector"), ("cbst", "ClassBalancedSelector")):
        labels = config(f"night_{name}_seed0").method.phases.labels3.selector
        assert labels == {"_target_": f"zsda.pseudo_labels.selectors.{selector}", "_partial_": True}
    assert config("rain_sdgpa_best_75_seed2").data.keep_best == 0.75
    assert config("night_sdgpa_then_hiast_generated_seed0").unlabelled.check_labels
    assert config("game_to_day_hiast_seed0").start_run == "game_to_day_adaptsegnet_seed0"


def test_parts_of_a_list_can_be_asked_for(miniature):
    asked = runs("parts=[source,edits]", "seeds=[3]")
    assert [run.name for run in asked[:3]] == ["day_source_only_seed3", "day_source_2x_seed3", "night_sdgpa_seed3"]
    assert {run.method for run in asked} == {"source_only", "source_2x", "sdgpa", "intermediate_only", "target_only"}
    with pytest.raises(ConfigError, match=r"parts=nothing: no part of the list; expected some of source, rendered"):
        runs("parts=[nothing]")
    with pytest.raises(
        ConfigError, match=r"night_ias_seed0 starts from night_sdgpa_seed0, which is not made before it"
    ):
        runs("parts=[parts_of_hiast]")


def test_the_study_of_photographs_needs_no_edits():
    found = runs("world=real")
    assert {run.method for run in found} == {"source_only", "source_2x", "weather"}
    assert len(found) == 9
    assert not any(run.sets or run.start for run in found)
    assert {run.scored_in for run in found} == {("day", "night")}


RIGHT = {
    "data_root": "data", "runs_root": "runs/mine", "for_all": [], "scenes": None, "source": "day", "protocol": "sdgpa", "size": None,
    "score": "miou", "words": {"short": ["seed={seed}"]}, "sheets": None,
    "parts": {"edits": {"domains": ["fog"], "sets": ["target"], "words": ["short"], "rows": {"sdgpa": []}}},
    "reports": {"main": {"methods": ["sdgpa"], "against": []}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("parts.edits.rows.sdgpa", None, "list=mine: parts.edits.rows.sdgpa: input should be a valid list"),
        ("parts.edits.domains", "night", "list=mine: parts.edits.domains: input should be a valid list"),
        ("parts.edits.domain", ["night"], "list=mine: parts.edits.domain: extra inputs are not permitted"),
        (
            "parts.edits.domains",
            [None],
            "list=mine: parts.edits: without a domain it needs a name, and settings in scored_in",
        ),
        ("parts.edits.name", "a/b", "a run of the list=a/b_sdgpa_seed0; expected a name for a folder"),
        ("parts.more", {"domains": ["fog"], "rows": {"sdgpa": []}}, "two runs of the list are called fog_sdgpa_seed0"),
        ("reports.main.against", ["source"], "list=mine: reports.main: no part has a row source"),
        ("reports.main.parts", ["gates"], "list=mine: reports.main: no part gates"),
        ("for_all", ["world=real"], "list=mine: for_all: world=real; expected it on the command line, or under scenes"),
    ],
)
def test_a_wrong_list_gets_one_line(place, value, message):
    config = OmegaConf.create({"list": copy.deepcopy(RIGHT), "parts": None, "seeds": [0]})
    assert [run.name for run in study_runs(study_list(config, "mine"), None, [0])] == ["fog_sdgpa_seed0"]
    OmegaConf.update(config, f"list.{place}", value, force_add=True)
    with pytest.raises(ConfigError, match=re.escape(message)):
        study_runs(study_list(config, "mine"), None, [0])
