import math

import pytest

from zsda.core import values
from zsda.core.errors import ConfigError

NUMBERS = [-1, 0, 1, 1.5, math.nan, math.inf, 10**20, 10**5000, True, "1", None, [1], {}]


def taken(kind, given=NUMBERS):
    return [value for value in given if kind.fits(value)]


def test_numbers_are_finite_and_no_booleans_or_texts():
    assert taken(values.COUNT) == [1]
    assert taken(values.whole(0)) == [0, 1]
    assert taken(values.SEED) == [0, 1]
    assert taken(values.POSITIVE) == [1, 1.5, 10**20]
    assert taken(values.NOT_NEGATIVE) == [0, 1, 1.5, 10**20]
    assert taken(values.SHARE) == [0, 1]
    assert taken(values.SIMILARITY) == [-1, 0, 1, 1.5, 10**20]
    assert [value is True for value in taken(values.FLAG)] == [True]
    assert taken(values.COUNT.or_none()) == [1, None]


@pytest.mark.parametrize(
    "size", [[48], [48, 96, 3], 48, "48x96", [48.0, 96], [0, 96], [100_000, 200_000], [True, 1], None]
)
def test_a_size_is_two_whole_numbers_that_a_memory_holds(size):
    with pytest.raises(ConfigError, match=r"^data\.size=.*; expected height and width in pixels, 8192 at most"):
        values.SIZE.check("data.size", size)
    values.SIZE.check("data.size", [48, 96])


def test_limits_are_two_in_their_order():
    kind = values.limits(-1, 1)
    for good in ([-1, 1], [0.5, 0.5], (0, 1)):
        kind.check("hue", good)
    for bad in ([1, -1], [-2, 0], [0], [math.nan, 1], [0, math.nan], "01", None):
        with pytest.raises(ConfigError, match="expected two numbers from -1 to 1, the lower one first"):
            kind.check("hue", bad)
    with pytest.raises(ConfigError, match="expected two whole numbers of at least 1"):
        values.limits(1, of_whole=True).check("heights", [1.0, 2.0])


def test_one_of_tells_true_from_one():
    kind = values.one_of("last", 1, None)
    assert taken(kind, ["last", 1, None, True, 1.0, "first", [], {}]) == ["last", 1, None]
    assert kind.expected == "last, 1 or null"


@pytest.mark.parametrize("name", ["1.10", "2024_05_01", "a-b+c.d", "x" * 200])
def test_names_of_folders(name):
    values.NAME.check("name", name)


@pytest.mark.parametrize(
    "name", [None, 1.1, 20240501, True, "", "a/b", "..", ".hidden", "a b", "köln", "x" * 201, "a\n"]
)
def test_what_cannot_name_a_folder(name):
    with pytest.raises(ConfigError, match=r"name=.*; expected a name for a folder"):
        values.NAME.check("name", name)


def test_a_path_has_parts_that_a_file_system_holds():
    values.PATH.check("data_root", "/data/" + "x" * 255)
    for bad in ("", " ", 5, None, "~/data", "\ud800", "x" * 256, "a/" * 3000, "a\0b", "ö" * 128):
        with pytest.raises(ConfigError, match=r"data_root=.*; expected a path"):
            values.PATH.check("data_root", bad)


def test_a_message_is_one_short_line_that_shows_the_value_as_it_is_given():
    assert values.shown([1, None, {"a": True}]) == "[1,null,{a:true}]"
    assert values.shown("a\nb\x1b") == "a\\nb\\x1b"
    assert len(values.shown("x" * 1000)) == 80
    assert values.shown(10**5000) == "a number of very many digits"
    with pytest.raises(ConfigError) as caught:
        values.SIZE.check("crop", [48])
    assert str(caught.value) == "crop=[48]; expected height and width in pixels, 8192 at most, e.g. crop=[512,1024]"


def test_lengths_and_horizons():
    for epochs, steps, horizon in ((1, None, None), (None, 5, 5), (2, None, 3)):
        values.check_length("source", epochs, steps, horizon)
    for epochs, steps, horizon in (
        (1, 1, None),
        (None, None, 5),
        (4, None, 3),
        (0, None, None),
        (math.nan, None, 3),
        (1, None, 1.5),
    ):
        with pytest.raises(ConfigError, match="phase 'source'"):
            values.check_length("source", epochs, steps, horizon)
