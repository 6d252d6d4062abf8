import json

import pytest
from pydantic import Field

from zsda.core.errors import StoreError
from zsda.core.records import Record, check_plain, printable, read_plain, read_record


class Pair(Record):
    name: str
    count: int = 0
    told: dict = Field(default_factory=dict)


def read(tmp_path, content, **more):
    path = tmp_path / "pair.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return read_record(Pair, path, "write it again", **more)


def test_a_record_is_read_as_it_was_written(tmp_path):
    assert read(tmp_path, {"name": "snow\n", "count": 3}) == Pair(name="snow\n", count=3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"count": ' + b"9" * 5000 + b"}", "cannot be read"),
        ([1], "holds no JSON object"),
        ({}, "it names no name"),
        ({"name": 1}, "name: input should be a valid string, found 1"),
        ({"name": "a", "count": "3"}, 'count: input should be a valid integer, found "3"'),
        ({"name": "a", "count": True}, "count: input should be a valid integer"),
        ({"name": "a", "more": 1}, "more is no name that zsda writes"),
        ({"name": "a", "told": {"_target_": "os.system"}}, "told._target_ is no name that zsda writes"),
        ({"name": "a", "told": {"a": [{"_args_": []}]}}, "told.a.0._args_ is no name"),
        ({"name": "a", "told": {"${a}": 1}}, r"told.\$\{a\} is no name"),
        ({"name": "${oc.env:HOME}"}, r"name is \"\$\{oc.env:HOME\}\", which would be looked up"),
        ({"name": "a", "told": {"x": ["\u001b[31m"]}}, r"told.x.0 is .*, with control characters"),
        ({"name": "a", "told": {"\u001b": 1}}, r"told.\\x1b is no name"),
        ({"name": "a", "count": 2**63}, "count is 9223372036854775808, a number beyond 64 bits"),
        (b'{"name": "a", "told": {"x": Infinity}}', "told.x is Infinity, an infinite number"),
        (b'{"name": "a", "told": ' + b'{"x":' * 40 + b"1" + b"}" * 41, "nested more than 32 levels deep"),
    ],
    ids=range(19),
)
def test_what_is_no_record_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(StoreError, match=rf"pair\.json: .*{message}.*; write it again") as caught:
        read(tmp_path, content)
    assert str(caught.value).isprintable()


def test_what_is_only_told_may_hold_any_text(tmp_path):
    assert read(tmp_path, {"name": "a", "told": {"command": ["name=job${hydra:job.num}"]}}, told=["told"])


def test_neither_a_folder_nor_a_pipe_nor_a_giant_is_read(tmp_path):
    (tmp_path / "giant.json").write_bytes(b"")
    with (tmp_path / "giant.json").open("r+b") as file:
        file.truncate(2**40)
    for path, message in (
        (tmp_path, "no such file"),
        (tmp_path / "giant.json", "1099511627776 bytes; expected at most"),
    ):
        with pytest.raises(StoreError, match=message):
            read_plain(path, "write it again")


def test_only_plain_values_are_plain():
    check_plain({"a": [1, 2.5, None, True, "x", float("nan"), {"b": []}]})
    for value in (object(), {1: 2}, (1,)):
        with pytest.raises(StoreError):
            check_plain({"a": value})


def test_texts_of_any_language_are_plain():
    for text in ("make\u00a0it snow", "雪\u3000が", "👩\u200d🔧", "näh", "a\nb\tc"):
        check_plain({"prompt": text})
        assert printable(text, also="\n\t") == text
    for text in ("\u202etxt", "a\u2028b", "\x7f", "\udce4"):
        with pytest.raises(StoreError, match="control characters"):
            check_plain({"prompt": text})


def test_long_names_and_long_lists_of_faults_take_no_time(tmp_path):
    with pytest.raises(StoreError, match="is no name that zsda writes"):
        read(tmp_path, {"name": "a", "told": {"k" * 10**6: [0] * 10**5}})


def test_control_characters_are_written_out():
    assert printable("näh \x1b[31m\udce4") == "näh \\x1b[31m\\udce4"
