"""The sentences that the small editor is trained on, and a tokenizer in which each of their words is one token."""

import json
import zlib
from pathlib import Path
from typing import Any

DAY = "day"
"""The instruction to leave things as they are; the other names are those of the looks."""

MAX_LENGTH = 24
"""Tokens that the small text encoder reads, start and end included."""

_PHRASES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    # look: (what it is made: "make it ...", what it becomes: "turn it into ...", what goes on: "... if ...")
    "night": (
        ("evening", "night", "dark", "late evening", "late", "nighttime", "midnight", "after dark", "black as night"),
        (
            "a night",
            "an evening",
            "a dark night",
            "a night scene",
            "a photo at night",
            "a late evening",
            "a moonless night",
        ),
        (
            "it were evening",
            "it were night",
            "it were dark",
            "the sun had set",
            "the street lamps were lit",
            "night had fallen",
        ),
    ),
    "snow": (
        ("snow", "snowy", "wintry", "winter", "covered in snow", "white with snow", "snow heavily", "a snowy day"),
        ("winter", "a winter scene", "a snowy day", "a snowy street", "a snow storm", "a white winter", "a winter day"),
        (
            "it were snowing",
            "it were winter",
            "it had snowed",
            "snow were falling",
            "there were snow",
            "snow lay everywhere",
        ),
    ),
    "rain": (
        ("rain", "rainy", "wet", "a rainy day", "pour", "rain heavily", "wet from the rain", "stormy and wet"),
        ("a rainy day", "a wet street", "a rain storm", "a rainy scene", "a downpour", "a day of rain", "heavy rain"),
        (
            "it were raining",
            "it rained",
            "rain were falling",
            "it were pouring",
            "the road were wet",
            "there were heavy rain",
        ),
    ),
    "fog": (
        ("foggy", "misty", "hazy", "a foggy day", "thick with fog", "hidden in mist", "fog", "a misty morning"),
        ("a foggy day", "a misty street", "a foggy scene", "thick fog", "a misty morning", "dense mist", "a hazy day"),
        (
            "it were foggy",
            "it were misty",
            "there were fog",
            "fog lay everywhere",
            "there were thick mist",
            "fog were rising",
        ),
    ),
    "game": (
        (
            "a 3d game",
            "a video game",
            "a computer game",
            "look like a 3d game",
            "look like a video game",
            "cartoonish",
            "a game",
        ),
        (
            "a 3d game",
            "a video game",
            "a computer game",
            "a game scene",
            "a cartoon",
            "an old 3d game",
            "a rendered game",
        ),
        (
            "it were a 3d game",
            "it were a video game",
            "it were from a game",
            "it were a computer game",
            "it were a cartoon",
        ),
    ),
    DAY: (
        ("stay the same", "daytime", "a normal day", "stay as it is", "a clear day", "day"),
        ("the same picture", "a clear day", "the same photo", "a normal day", "daylight"),
        ("nothing changed", "it stayed the same", "it were day", "it were a clear day"),
    ),
}

_MADE = ("make it {}", "let it be {}", "please make it {}", "make the street {}", "make this {}", "i want it to be {}")
_BECOME = (
    "have it be {}",
    "turn it into {}",
    "change it to {}",
    "make it look like {}",
    "turn this into {}",
    "show it as {}",
    "convert the photo into {}",
)
_GOING_ON = (
    "what would it look like if {}?",
    "what if {}?",
    "show it as if {}",
    "imagine {}",
    "make it look as if {}",
    "how would the street look if {}?",
)


def instructions(look: str) -> list[str]:
    """Returns every sentence for a look, the published prompt among them."""
    made, become, going_on = _PHRASES[look]
    sentences = [template.format(phrase) for template in _MADE for phrase in made]
    sentences += [template.format(phrase) for template in _BECOME for phrase in become]
    sentences += [template.format(phrase) for template in _GOING_ON for phrase in going_on]
    return list(dict.fromkeys(sentences))


def looks() -> tuple[str, ...]:
    """Returns the names that `instructions` knows."""
    return tuple(_PHRASES)


def is_held_out(sentence: str) -> bool:
    """Tells whether a sentence is kept from training to test understanding: one in eight, chosen by its letters."""
    return zlib.crc32(sentence.encode()) % 8 == 5 and sentence not in PUBLISHED


PUBLISHED = (
    "make it evening",
    "what would it look like if it were snowing?",
    "make it rain",
    "make it foggy",
    "have it be a 3d game",
)
"""The prompts of SDGPA (section IV-A), in the small letters that CLIP's tokenizer reduces everything to."""


def save_tokenizer(folder: Path) -> Any:  # noqa: ANN401 - transformers is not typed
    """Learns a byte-pair vocabulary from all sentences, saves it and returns it as a CLIP tokenizer.

    Merging goes on until every word of the corpus is one token: an encoder as small as this one does not learn to read
    letters. Words that are not in the corpus still come out, in pieces.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
    from transformers import CLIPTokenizer

    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[a-z]+|[0-9]|[^\sa-z0-9]+"), "removed", invert=True),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=10_000, min_frequency=1, initial_alphabet=letters, end_of_word_suffix="</w>", show_progress=False
    )
    corpus = sorted(sentence for look in looks() for sentence in instructions(look))
    tokenizer.train_from_iterator(corpus, trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    words = dict.fromkeys(
        [*letters, *(f"{letter}</w>" for letter in letters), *sorted(trained["vocab"], key=trained["vocab"].get)]
    )
    vocabulary = {word: index for index, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    merges = "".join(f"{one} {other}\n" for one, other in trained["merges"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=MAX_LENGTH)
