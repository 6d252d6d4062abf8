import pytest

from zsda.core.errors import ConfigError
from zsda.evaluation.protocols import PROTOCOLS, SCORE_NAMES, find_protocol
from zsda.evaluation.records import SUMMARY


def test_each_protocol_has_one_headline_score_that_tables_can_name():
    assert {name: protocol.headline for name, protocol in PROTOCOLS.items()} == {"sdgpa": "miou", "full": "miou"}
    assert tuple(SCORE_NAMES) == SUMMARY


def test_protocols_say_at_what_size_they_compare_and_what_absent_classes_count():
    assert {p.name: (p.size, p.labels, p.absent) for p in PROTOCOLS.values()} == {
        "sdgpa": (None, "input", "left_out"),
        "full": (None, "native", "left_out"),
    }


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ConfigError, match="unknown protocol 'best'; expected one of sdgpa, full"):
        find_protocol("best")
