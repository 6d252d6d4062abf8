from pathlib import Path

import pytest
import yaml

from tools.small_editor import instructions as sentences
from tools.small_editor.pairs import STORED
from zsda.core.config import conf_dir

CORPUS = [sentence for look in STORED for sentence in sentences.instructions(look)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return sentences.save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_every_look_has_instructions():
    assert set(sentences.looks()) == set(STORED)


@pytest.mark.parametrize("domain", ["night", "snow", "rain", "fog", "game"])
def test_the_prompts_of_the_domains_are_among_them(domain):
    prompt = yaml.safe_load((conf_dir() / "domain" / f"{domain}.yaml").read_text())["prompt"].lower()
    assert prompt in sentences.instructions(domain)
    assert not sentences.is_held_out(prompt)


@pytest.mark.parametrize("look", STORED)
def test_some_sentences_of_each_look_are_held_out(look):
    found = sentences.instructions(look)
    assert 0.05 < sum(map(sentences.is_held_out, found)) / len(found) < 0.2


def test_no_sentence_occurs_twice_or_has_two_meanings():
    assert len(set(CORPUS)) == len(CORPUS)


def test_every_word_of_the_corpus_is_one_token(tokenizer):
    for word in ("evening", "snowing", "rain", "foggy", "game", "video", "wintry", "moonless"):
        assert tokenizer.tokenize(word) == [f"{word}</w>"]
    assert tokenizer.tokenize("What IF it were Snowing?") == [
        "what</w>",
        "if</w>",
        "it</w>",
        "were</w>",
        "snowing</w>",
        "?</w>",
    ]


def test_every_sentence_fits_and_is_framed(tokenizer):
    for sentence in CORPUS:
        ids = tokenizer(sentence).input_ids
        assert len(ids) <= sentences.MAX_LENGTH
        assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
        assert tokenizer.unk_token_id not in ids[1:-1]


def test_foreign_words_come_out_in_pieces(tokenizer):
    pieces = tokenizer.tokenize("sandstorm")
    assert len(pieces) > 1 and "".join(pieces) == "sandstorm</w>"


def test_the_vocabulary_is_the_same_every_time(tokenizer, tmp_path):
    again = sentences.save_tokenizer(Path(tmp_path))
    assert again.get_vocab() == tokenizer.get_vocab()
