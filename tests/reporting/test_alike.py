import pytest

from tests.reporting.made import make_run, phase_report
from zsda.core.runs import RunFolder
from zsda.reporting.alike import warn_of_other_settings, warn_of_unequal_lengths


def settings(seed, encoder="resnet18", lr=0.02, batch_size=4, flip=0.5, **more):
    return {
        "data": {"seed": seed, "batch_size": batch_size, "flip": flip, **more.pop("data", {})},
        "model": {"encoder": encoder},
        "optimizer": {"lr": lr},
        "schedule": {"power": 0.9},
        **more,
    }


def header(settings):
    """What ``zsda.train`` writes into the header of these settings."""
    about = {"batch_size": settings["data"]["batch_size"]}
    return {**about, **{key: settings[key] for key in ("optimizer", "schedule")}}


def trained(root, method, domain, seed, world="miniature", **more):
    recorded = settings(seed, **more)
    about = {"settings": recorded, "header": header(recorded), "arguments": recorded["model"], "world": world}
    return RunFolder(make_run(root, method, domain, seed, **about))


def test_unequal_lengths_are_mentioned(tmp_path, caplog):
    runs = []
    for method, steps in (("source_only", 30), ("sdgpa", 30), ("target_only", 30), ("oracle", 20)):
        runs.append(RunFolder(make_run(tmp_path, method, "fog", 0)))
        runs[-1].phase("only").finish(phase_report(steps))
    warn_of_unequal_lengths(runs[:3])
    assert not caplog.messages
    warn_of_unequal_lengths(runs)
    (message,) = caplog.messages
    assert message == (
        "not trained equally long, in steps: 30 fog_source_only_seed0, fog_sdgpa_seed0, ...; 20 fog_oracle_seed0"
    )


def test_seeds_of_one_training_differ_in_their_seed_alone(tmp_path, caplog):
    runs = [trained(tmp_path, method, "fog", seed) for method in ("sdgpa", "oracle") for seed in range(3)]
    runs += [trained(tmp_path, "source_only", None, seed) for seed in range(3)]
    warn_of_other_settings(runs)
    warn_of_other_settings([])
    assert not caplog.messages


def test_a_phase_with_data_of_its_own_has_the_seed_there(tmp_path, caplog):
    def runs_of(folder, size):
        own = {seed: {"round1": {"data": {"seed": seed, "size": size(seed)}}} for seed in (0, 1)}
        return [trained(tmp_path / folder, "sdgpa", "fog", seed, phases=own[seed]) for seed in own]

    warn_of_other_settings(runs_of("alike", lambda seed: 4))
    assert not caplog.messages
    warn_of_other_settings(runs_of("other", lambda seed: 4 + seed))
    (message,) = caplog.messages
    assert "other settings: phases.round1.data.size (fog" in message


def test_other_settings_are_not_taken_for_seeds(tmp_path, caplog):
    runs = [
        trained(tmp_path, "sdgpa", "fog", 1),
        trained(tmp_path, "sdgpa", "fog", 0, encoder="resnet101", lr=0.01),
        trained(tmp_path, "oracle", "fog", 0, encoder="resnet101", lr=0.01),
        trained(tmp_path, "oracle", "fog", 1),
    ]
    warn_of_other_settings(runs)
    assert caplog.messages == [
        "averaged as seeds, but trained with other settings: model.encoder, optimizer.lr (fog_sdgpa_seed0, fog_sdgpa_seed1)"
    ], "once, and not between methods: seed by seed they compare"
    caplog.clear()
    more = {"batch_size": 8, "world": "real", "flip": 0}
    warn_of_other_settings([runs[1], trained(tmp_path, "sdgpa", "fog", 2, **more)])
    assert caplog.messages[0].endswith(
        ": data.batch_size, data.flip, model.encoder, optimizer.lr, ... (fog_sdgpa_seed0, fog_sdgpa_seed2)"
    )


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"encoder": "resnet101"}, "model.encoder"),
        ({"lr": 0.01}, "optimizer.lr"),
        ({"schedule": {"power": 1}}, "schedule.power"),
        ({"batch_size": 8}, "batch_size"),
        ({"world": "real"}, "world"),
    ],
)
def test_methods_are_compared_in_one_setting(tmp_path, caplog, change, key):
    runs = [trained(tmp_path, "source_only", None, 0), trained(tmp_path, "sdgpa", "fog", 0)]
    warn_of_other_settings([*runs, trained(tmp_path, "oracle", "fog", 0, **change)])
    assert caplog.messages == [
        f"compared, but trained with other settings: {key} (day_source_only_seed0, fog_oracle_seed0)"
    ]


def test_runs_for_two_targets_are_no_seeds_of_each_other(tmp_path, caplog):
    unnamed = {"batch_size": 4, "domain": None}
    runs = [
        RunFolder(make_run(tmp_path, "hiast", target, seed, settings={"rounds": seed}, header=unnamed))
        for seed, target in enumerate(["day", "night"])
    ]
    warn_of_other_settings(runs)
    assert not caplog.messages


def test_what_a_method_changes_in_its_data_is_its_own(tmp_path, caplog):
    warn_of_other_settings(
        [
            trained(tmp_path, "sdgpa", "fog", 0),
            trained(tmp_path, "weather", "fog", 0, flip=0, data={"weather": "fog"}),
        ]
    )
    assert not caplog.messages


def test_a_domain_that_no_phase_looks_at_is_no_other_setting(tmp_path, caplog):
    runs = [trained(tmp_path, "source_only", domain, seed) for seed, domain in enumerate(["fog", "night"])]
    warn_of_other_settings(runs)
    assert not caplog.messages
