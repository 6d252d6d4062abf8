import pytest

from zsda.core.errors import ConfigError
from zsda.evaluation.protocols import PROTOCOLS, SCORE_NAMES, chosen_protocol, find_protocol
from zsda.evaluation.records import SUMMARY


def test_each_protocol_has_one_headline_score_that_tables_can_name():
    assert {name: protocol.headline for name, protocol in PROTOCOLS.items()} == dict.fromkeys(
        ("sdgpa", "full", "hiast"), "miou"
    )
    assert tuple(SCORE_NAMES) == SUMMARY


def test_protocols_say_at_what_size_they_compare_and_what_absent_classes_count():
    assert {p.name: (p.size, p.labels, p.absent) for p in PROTOCOLS.values()} == {
        "sdgpa": (None, "input", "left_out"),
        "full": (None, "native", "left_out"),
        "hiast": ((768, 1536), "native", "zero"),
    }


@pytest.mark.parametrize("name", ["best", "hiast_", "hiast_5scales", "hiast_mirror_mirror", "hiast mirror", ""])
def test_an_unknown_protocol_is_refused(name):
    with pytest.raises(ConfigError, match=f"unknown protocol '{name}'; expected one of sdgpa, full, hiast"):
        find_protocol(name)


@pytest.mark.parametrize(
    ("scales", "mirror", "name", "size"),
    [
        (None, False, "hiast", (768, 1536)),
        (None, True, "hiast_mirror", (768, 1536)),
        ([[512, 1024], [640, 1280]], False, "hiast_512x1024+640x1280", (640, 1280)),
        ([[640, 1280], [512, 1024], [640, 1280]], True, "hiast_512x1024+640x1280_mirror", (640, 1280)),
    ],
)
def test_the_name_of_a_variant_tells_all_of_it(scales, mirror, name, size):
    chosen = chosen_protocol("hiast", scales=scales, mirror=mirror)
    assert (chosen.name, chosen.size, chosen.mirror) == (name, size, mirror)
    assert list(chosen.scales) == sorted({tuple(scale) for scale in scales or []}), "in any order, each once"
    assert find_protocol(name) == chosen


def test_one_of_several_sizes_is_a_size():
    assert chosen_protocol("hiast", [48, 96], [[640, 1280]]) == chosen_protocol("hiast", [640, 1280])


def test_the_words_for_a_variant_ask_for_it():
    variant = chosen_protocol("hiast", scales=[[512, 1024], [768, 1536]], mirror=True)
    assert variant.words == "protocol=hiast 'scales=[[512,1024],[768,1536]]' mirror=true"
    assert find_protocol("full").words == "protocol=full"
    with pytest.raises(
        ConfigError, match="protocol=hiast_mirror is the name of a result; give protocol=hiast mirror=true"
    ):
        chosen_protocol("hiast_mirror")


def test_a_size_that_is_given_wins_over_that_of_the_protocol():
    assert chosen_protocol("hiast", [48, 96]).size == (48, 96)
    assert chosen_protocol("full", [48, 96]).size == (48, 96)
    assert chosen_protocol("full").size is None


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"mirror": True}, "mirror=true sums probabilities, which protocol=full does not; expected protocol=hiast"),
        ({"scales": [[4, 8]]}, r"scales=\[\[4, 8\]\] sums probabilities, which protocol=full does not"),
        ({"size": [0, 8]}, r"size=\[0,8\]; expected height and width in pixels"),
        ({"size": 8}, r"size=8; expected height and width in pixels"),
        *(
            ({"name": "hiast", "scales": scales}, r"scales=.*; expected a list of heights and widths in pixels, e\.g\.")
            for scales in ([], [[4, -8]], [[4, 8.0]], [4, 8], [[4, 8, 3]], "48", 8, [[True, True]])
        ),
    ],
)
def test_what_does_not_fit_is_refused(choice, message):
    with pytest.raises(ConfigError, match=message):
        chosen_protocol(**{"name": "full", **choice})
