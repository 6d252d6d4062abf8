"""Worked out by hand; mIoU in per cent."""

from dataclasses import replace

import pytest

from tests.reporting.made import result
from zsda.core.errors import StoreError
from zsda.reporting.comparison import Comparison
from zsda.reporting.seeds import Summary


def test_targets_and_methods_are_ordered_as_in_the_paper(comparison):
    assert comparison.targets == ["snow", "fog"]
    assert comparison.methods == ["source_only", "sdgpa", "oracle", "mine"]
    assert comparison.seeds == [0, 1]


def test_gain_and_share(comparison):
    assert comparison.target("sdgpa", "fog") == {0: pytest.approx(0.34), 1: pytest.approx(0.36)}
    assert comparison.source("sdgpa", "fog") == {0: pytest.approx(0.46), 1: pytest.approx(0.42)}
    assert comparison.source("source_only", "fog") == comparison.source("source_only", "snow")
    # Seed by seed: 34 - 20 and 36 - 24.
    assert comparison.gain("sdgpa", "source_only", ["fog"]) == Summary(
        pytest.approx(0.13), pytest.approx(0.0141421, abs=1e-6), 2
    )
    # The oracle has seed 0 alone: 20 of the source, 34 of the edits, 50 at the best.
    assert comparison.share("sdgpa", ["fog"]).mean == pytest.approx(0.14 / 0.30)
    assert comparison.gain("oracle", "source_only", ["fog"]) == Summary(pytest.approx(0.30), None, 1)
    assert comparison.share("oracle", ["fog"]).mean == pytest.approx(1)
    assert comparison.share("mine", ["fog"]).mean == pytest.approx(-0.10 / 0.30)
    assert comparison.gain("sdgpa", "source_only", ["snow"]).mean == pytest.approx(0.12)
    assert comparison.share("sdgpa", ["snow"]) is None


def test_an_oracle_that_is_no_better_is_no_measure():
    comparison = Comparison(
        [
            result("source_only", None, 0, fog=30),
            result("sdgpa", "fog", 0, fog=32),
            result("oracle", "fog", 0, fog=30),
        ]
    )
    assert [comparison.share(method, ["fog"]) for method in ("sdgpa", "oracle")] == [None, None]
    assert comparison.gain("sdgpa", "source_only", ["fog"]).mean == pytest.approx(0.02)


def test_a_method_without_one_of_the_targets_has_no_mean_over_them(comparison):
    assert comparison.mean_target("oracle") is None
    # Seed 0: (40 + 34) / 2 = 37, seed 1: (44 + 36) / 2 = 40.
    assert comparison.mean_target("sdgpa") == Summary(pytest.approx(0.385), pytest.approx(0.0212132, abs=1e-6), 2)
    assert comparison.mean_source("sdgpa") == Summary(pytest.approx(0.43), pytest.approx(0.0282843, abs=1e-6), 2)
    assert comparison.mean_source("oracle").mean == pytest.approx(0.3)


def test_differences_are_of_the_seeds_that_both_have_and_averaged_over_targets_first(comparison):
    both = ["snow", "fog"]
    # Seed 0: (10 + 14) / 2 = 12, seed 1: (14 + 12) / 2 = 13.
    assert comparison.gain("sdgpa", "source_only", both) == Summary(
        pytest.approx(0.125), pytest.approx(0.0070711, abs=1e-6), 2
    )
    assert comparison.gain("source_only", "sdgpa", both).mean == pytest.approx(-0.125)
    # Seed 0: (-3 - 1) / 2 = -2, seed 1: (-11 - 9) / 2 = -10.
    assert comparison.source_gain("sdgpa", "source_only", both) == Summary(
        pytest.approx(-0.06), pytest.approx(0.0565685, abs=1e-6), 2
    )
    assert comparison.gain("oracle", "sdgpa", ["fog"]) == Summary(pytest.approx(0.16), None, 1)
    assert comparison.gain("oracle", "sdgpa", both) is None
    assert comparison.gain("sdgpa", "nobody", ["fog"]) is None


def test_the_share_over_targets_is_that_of_the_mean_gains():
    comparison = Comparison(
        [
            result("source_only", None, 0, fog=20, snow=30),
            result("sdgpa", "fog", 0, fog=30),
            result("sdgpa", "snow", 0, snow=32),
            result("oracle", "fog", 0, fog=60),
            result("oracle", "snow", 0, snow=34),
        ]
    )
    assert comparison.share("sdgpa", ["fog"]).mean == pytest.approx(0.25)
    assert comparison.share("sdgpa", ["snow"]).mean == pytest.approx(0.5)
    assert comparison.share("sdgpa", ["fog", "snow"]).mean == pytest.approx(12 / 44)
    assert comparison.share("sdgpa", ["fog", "rain"]) is None


def test_the_order_of_methods_follows_the_argument():
    names = [
        "zodi",
        "oracle",
        "sdgpa",
        "keep_source",
        "reversed",
        "one_phase",
        "intermediate_only",
        "target_only",
        "whole",
    ]
    comparison = Comparison(
        [result(name, "fog", 0, fog=1) for name in [*names, "another", "weather", "source_2x", "source_only"]]
    )
    assert comparison.methods == [
        "source_only",
        "source_2x",
        "weather",
        "whole",
        "target_only",
        "intermediate_only",
        "one_phase",
        "reversed",
        "keep_source",
        "sdgpa",
        "oracle",
        "another",
        "zodi",
    ]


def test_the_score_can_be_chosen():
    results = [result("sdgpa", "fog", 0, fog=50)]
    assert Comparison(results).target("sdgpa", "fog") == {0: 0.5}
    assert Comparison(results, score="miou_present").target("sdgpa", "fog") == {0: 0.25}


def test_settings_that_are_no_condition_are_no_targets():
    comparison = Comparison([result("source_only", None, 0, fog=20, day=47, edited=40, rendered=30)])
    assert comparison.targets == ["fog"]


def test_a_source_is_no_target_of_its_own_and_another_setting_is(from_game):
    comparison = Comparison(from_game[:2])
    assert (comparison.source_setting, comparison.targets) == ("game", ["day"])
    assert comparison.source("source_only", "day") == {0: pytest.approx(0.60), 1: pytest.approx(0.61)}
    by_day = Comparison([result("source_only", None, 0, game=30, day=60)])
    assert (by_day.source_setting, by_day.targets) == ("day", ["game"])
    assert by_day.mean_source("source_only").mean == pytest.approx(0.6)


def test_one_source_is_compared_with_another_target(from_game):
    comparison = Comparison(from_game)
    assert comparison.targets == ["day"]
    assert comparison.plain("day") == {
        "source_only": {"target": pytest.approx(0.305), "source": pytest.approx(0.605)},
        "hiast": {"target": pytest.approx(0.405), "source": pytest.approx(0.57)},
    }
    assert comparison.gain("hiast", "source_only", ["day"]).mean == pytest.approx(0.1)
    # Seed 0: 56 - 60, seed 1: 58 - 61.
    assert comparison.source_gain("hiast", "source_only", ["day"]).mean == pytest.approx(-0.035)
    unadapted = [result("source_only", None, 4, source_setting="game", game=60)]
    assert Comparison(unadapted).mean_source("source_only").mean == pytest.approx(0.6)
    assert Comparison(unadapted).seeds == [4]


def test_runs_of_two_sources_are_refused(comparison, from_game):
    message = (
        "fog_oracle_seed0 starts from day and game_source_only_seed0 from game, which do not compare; choose runs of one source "
        r"with runs=\.\.\."
    )
    with pytest.raises(StoreError, match=message) as refused:
        Comparison([*comparison.results, *from_game])
    assert "\n" not in str(refused.value)


def test_targets_can_be_chosen(comparison):
    chosen = Comparison(comparison.results, ["fog"])
    assert chosen.targets == ["fog"]
    assert chosen.plain("fog")["sdgpa"] == {"target": pytest.approx(0.35), "source": pytest.approx(0.44)}
    assert list(chosen.plain("fog")) == ["source_only", "sdgpa", "oracle", "mine"]
    assert chosen.plain("snow") == {"source_only": {"target": pytest.approx(0.3), "source": pytest.approx(0.49)}}


def test_runs_for_other_targets_than_those_chosen_do_not_count(comparison):
    twice = replace(result("sdgpa", "fog", 1, fog=1), run="mine")
    late = [result("sdgpa", "fog", 7, fog=30), result("source_only", None, 8, rain=30)]
    chosen = Comparison([*comparison.results, twice, *late], ["snow"])
    assert (chosen.methods, chosen.seeds) == (["source_only", "sdgpa"], [0, 1])
    assert {run.target for run in chosen.results} == {None, "snow"}


def test_runs_scored_on_edits_alone_have_seeds():
    assert Comparison([result("oracle", "fog", 3, edited=40, rendered=30)]).seeds == [3]


def test_equal_runs_of_two_names_are_refused(comparison):
    named = replace(result("sdgpa", "fog", 1, fog=1), run="mine")
    with pytest.raises(StoreError, match="fog_sdgpa_seed1 and mine are both sdgpa for fog at seed 1; choose one"):
        Comparison([*comparison.results, named])


def test_the_way_to_the_oracle_starts_where_the_source_is_seen_as_often_as_the_edits():
    plain = [
        *(result(name, None, 0, fog=score) for name, score in (("source_only", 10), ("source_2x", 20))),
        *(result(name, "fog", 0, fog=score) for name, score in (("sdgpa", 30), ("oracle", 40))),
    ]
    assert Comparison(plain).baseline == "source_2x"
    assert Comparison(plain).share("sdgpa", ["fog"]) == Summary(pytest.approx(0.5), None, 1)
    without = Comparison([run for run in plain if run.method != "source_2x"])
    assert (without.baseline, without.share("sdgpa", ["fog"]).mean) == ("source_only", pytest.approx(2 / 3))
    by_day = [result("source_2x", None, 0, day=70), *(run for run in plain if run.method != "source_2x")]
    assert Comparison(by_day).baseline == "source_only", "the other is scored on no target"
    neither = Comparison(plain[2:])
    assert (neither.baseline, neither.share("sdgpa", ["fog"])) == (None, None)


def test_a_number_is_from_the_runs_of_the_seeds_that_all_have(comparison):
    def names(*asked, **how):
        return sorted(run.run for run in comparison.runs(*asked, **how))

    assert names(["sdgpa"], ["fog"]) == ["fog_sdgpa_seed0", "fog_sdgpa_seed1"]
    assert names(["oracle", "source_only"], ["fog"]) == ["day_source_only_seed0", "fog_oracle_seed0"]
    assert names(["mine"], ["fog"], on_source=True) == ["fog_mine_seed0"]
    assert names(["sdgpa", "oracle"], ["snow", "fog"]) == ["fog_oracle_seed0", "fog_sdgpa_seed0"]
    assert names(["oracle"], ["snow"]) == []
