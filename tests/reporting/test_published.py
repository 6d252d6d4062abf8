"""What papers report, and beside which runs it stands."""

from dataclasses import replace

import pytest

from tests.reporting.made import PUBLISHED, make_run, result
from zsda.core.runs import RunFolder
from zsda.evaluation.protocols import find_protocol
from zsda.reporting.published import published_tables, quoted_beside
from zsda.reporting.results import read_results

AS_PUBLISHED = replace(
    result("sdgpa", "fog", 0, fog=60),
    world="real",
    experiment="fog",
    class_set="19",
    size=(512, 1024),
    network="DeepLabV3Plus resnet50",
)


def names(run, score="miou"):
    return [row.name for row in quoted_beside([run], score)[0]]


@pytest.mark.parametrize(
    "other",
    [
        {"source_setting": "game"},
        {"protocol": "full"},
        {"world": "miniature"},
        {"class_set": "16"},
        {"size": (256, 512)},
        {"method": "target_only"},
        {"experiment": None},
        {"experiment": "snow"},
        {"network": "RefineNet resnet50"},
    ],
    ids=str,
)
def test_the_papers_rows_stand_beside_its_own_training_alone(other):
    assert names(AS_PUBLISHED) == ["sdgpa (paper)", "sdgpa (released checkpoints)"]
    assert names(replace(AS_PUBLISHED, **other)) == []


def test_another_score_is_told_where_it_would_show_figures():
    assert quoted_beside([AS_PUBLISHED], "miou_present") == ([], ["miou"])
    synthia = replace(
        AS_PUBLISHED,
        method="hiast",
        experiment="hiast_synthia_to_cityscapes",
        source_setting="synthia",
        target="day",
        protocol="hiast",
        size=(768, 1536),
        network="DeepLabV2 resnet101",
    )
    assert quoted_beside([synthia], "miou") == ([], ["miou_13_published", "miou_16_published"])
    (row,) = quoted_beside([synthia], "miou_16_published")[0]
    assert (row.name, row.mean(["day"]).mean) == ("hiast (paper)", pytest.approx(0.535))
    assert "bupt-ai-cz/HIAST" in row.by


def test_the_means_of_what_is_quoted_are_those_of_the_papers_table():
    five = ["night", "snow", "rain", "fog", "game"]
    runs = [replace(AS_PUBLISHED, target=target, experiment=target) for target in five]
    rows = quoted_beside(runs, "miou")[0]
    assert [row.mean(five).mean for row in rows] == [pytest.approx(0.4502), pytest.approx(0.4526)]
    assert [row.mean(["fog"]).deviation for row in rows] == [pytest.approx(0.007), None]
    assert rows[0].mean(["night", "dusk"]) is None
    beside = quoted_beside([AS_PUBLISHED, replace(runs[0], protocol="full")], "miou")[0]
    assert [set(row.values) for row in beside] == [{"fog"}, {"fog"}], "what a run compares in"


def test_every_table_is_of_a_protocol_and_says_where_it_is_from():
    tables = published_tables()
    assert len(tables) == 8
    for table in tables:
        (protocol,) = table.compares["protocol"]
        assert find_protocol(protocol).name == protocol
        for row in table.rows:
            assert "github.com/" in row.by
            assert all(0 < value.mean < 1 for value in row.values.values())
        assert set(table.compares) <= set(vars(AS_PUBLISHED))


def test_a_run_of_the_published_experiment_is_known(tmp_path):
    path = make_run(tmp_path, "sdgpa", "snow", 0, {"snow": 0.4}, size=(512, 1024), **PUBLISHED)
    (found,) = read_results([RunFolder(path)], "sdgpa")
    assert names(found) == ["sdgpa (paper)", "sdgpa (released checkpoints)"]
