"""What each option of the commands can be, told before anything is imported or read.

A mistake in a value is the most frequent one, so that it must not wait for libraries of a network to be loaded.
"""

import fnmatch
import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zsda.core import values
from zsda.core.errors import ConfigError, Gathered
from zsda.core.values import (
    ANY,
    COUNT,
    FLAG,
    NAME,
    NAMES,
    NOT_NEGATIVE,
    PATCH,
    PATH,
    POSITIVE,
    PROBABILITY,
    SEED,
    SHARE,
    SIDES,
    SIZE,
    TEXT,
    Kind,
)


def _one_or_more(kind: Kind) -> Kind:
    """Returns the kind of one value, of a list of them, or of null for the command's own."""
    several = values.list_of(kind, "", least=1)
    return values.either(f"{kind.expected}, a list of them, or null", kind.or_none(), several)


_OWN = ("zsda.", "torch.", "lightning.")
_MOST_CHANNELS = 2**12
_MOST_CLASSES = 2**10
_MOST_WORKERS = 2**8
_BATCH = values.whole(2)
_WIDTH = values.whole(1, _MOST_CHANNELS)
_TEXTS = values.list_of(TEXT, "a list of texts")
_NAMES_OR_NONE_AT_ALL = Kind("a name, or a list of them", values.either("", TEXT, _TEXTS).fits, is_names=True)
_OUTPUT = values.one_of("overlay", "colours", "train_ids", "label_ids", "confidence")
_OUTPUTS = Kind(
    f"one or a list of {_OUTPUT.expected}",
    values.either("", _OUTPUT, values.list_of(_OUTPUT, "", least=1)).fits,
    is_names=True,
)
_SETS = Kind(
    "a generated set by its name or its folder, no ~ in a list, or a list of them",
    values.either("", PATH, values.list_of(PATH, "", least=1)).fits,
    is_names=True,
    is_path=True,
)
_DOCUMENTS = Kind(
    "a Markdown file, no ~ in a list, or a list of them",
    values.either("", PATH, values.list_of(PATH, "")).fits,
    is_names=True,
    is_path=True,
)


_NODES = (
    "data.source",
    "data.transform",
    "data.unlabelled_transform",
    "settings.*",
    "unlabelled.images",
    "method.phases.*",
    "optimizer",
    "schedule",
)
"""Places that hold options, beside those that the patterns below begin with."""

OPTIONS: Mapping[str, Kind] = {
    # of a command alone
    "train:keep": values.KEEP,
    "preview:keep": SHARE,
    "preview:images": COUNT,
    "preview:steps": _one_or_more(COUNT),
    "preview:text_guidance": _one_or_more(values.TEXT_GUIDANCE),
    "preview:image_guidance": _one_or_more(values.IMAGE_GUIDANCE),
    "*view:batch_size": COUNT,
    "eval:batch_size": COUNT,
    "eval:epochs": values.one_of("last", "all"),
    "eval:scales": values.SIZES.or_none(),
    "generate:batch_size": COUNT.or_none(),
    "generate:limit": COUNT.or_none(),
    "generate:retries": values.RETRIES,
    "report:runs": NAMES,
    "report:documents": _DOCUMENTS,
    "report:scenes": Kind("a whole number, 0 for a page without pictures", values.whole(0).fits),
    "report:score": values.one_of(
        None, "miou", "miou_present", "miou_16", "miou_13", "miou_16_published", "miou_13_published"
    ),
    "report:selection": values.one_of("last", "best_on_target"),
    "report:domains": NAMES.or_none(),
    "report:pictures": NAMES.or_none(),
    "report:against": _NAMES_OR_NONE_AT_ALL,
    "export:format": NAMES.or_none(),
    "export:set": PATH.or_none(),
    "export:layout": values.one_of("imagefolder", "plain"),
    "export:keep_best": values.PART.or_none(),
    "predict:input": PATH,
    "predict:write": _OUTPUTS,
    "predict:format": values.one_of(None, "cityscapes", "acdc"),
    "predict:scales": values.SIZES.or_none(),
    "predict:window": SIZE.or_none(),
    "predict:overlap": values.number(0, 0.9),
    "predict:again": FLAG,
    "demo:scenes.*": COUNT,
    "demo:rows": COUNT,
    "demo:*_options": _TEXTS,
    "study:seeds": values.list_of(SEED, "a list of seeds", least=1),
    "study:parts": NAMES.or_none(),
    "study:jobs": COUNT.or_none(),
    "study:list.*": ANY,
    "cache:clear": FLAG,
    "check:decode": FLAG,
    "check:edits_of": NAME.or_none(),
    "check:recipes": NAMES,
    "check:set": _SETS.or_none(),
    # of several
    "name": NAME,
    "seed": SEED,
    "start_run": NAME.or_none(),
    "run": NAMES.or_none(),
    "phase": TEXT.or_none(),
    "edits_of": NAME,
    "layout.run": TEXT.or_none(),
    "layout.ckpt": PATH.or_none(),
    "layout": ANY,
    "ckpt": PATH.or_none(),
    "size": SIZE.or_none(),
    "split": TEXT,
    "out": PATH.or_none(),
    "protocol": TEXT,
    "canvas": SIDES,
    "patch_size": PATCH,
    "classes": ANY,  # see `zsda.data.classes.find_classes`
    "*.classes": ANY,
    "published": TEXT.or_none(),
    **dict.fromkeys(("compile", "dry_run", "profile", "masks", "mirror", "cityscapes_root", "editor.compile"), FLAG),
    "*_root": PATH,
    "checkpoint.every_steps": COUNT.or_none(),
    "checkpoint.every_minutes": POSITIVE.or_none(),
    # where it runs
    "machine.logger*": ANY,
    "machine.accelerator": TEXT,
    "machine.strategy": TEXT,
    "machine.devices": values.either(
        "a number of devices, a list of their numbers, -1 for all, or auto",
        COUNT,
        values.one_of(-1),
        values.list_of(values.whole(0), "numbers", least=1),
        TEXT,
    ),
    **dict.fromkeys(("machine.num_nodes", "machine.log_every_n_steps", "machine.check_val_every_n_epoch"), COUNT),
    "machine.num_workers": values.whole(0, _MOST_WORKERS).or_none(),
    "machine.cache_gb": POSITIVE,
    **dict.fromkeys(("machine.sync_batchnorm", "machine.enable_model_summary", "machine.oversubscribe"), FLAG),
    "trainer.precision": values.either("a precision of Lightning, or fast", values.one_of(16, 32, 64), TEXT),
    # domains, recipes, editor
    "domain.name": NAME,
    "domain.prompt": values.SENTENCE,
    "domain.text_guidance": values.TEXT_GUIDANCE,
    "domain.image_guidance": values.IMAGE_GUIDANCE,
    "gate.max_drift": POSITIVE.or_none(),
    "gate.align": FLAG,
    "recipes.*.canvas": SIDES,
    "recipes.*.patch_size": PATCH,
    "recipes.*.overlap": values.whole(0, values.LONGEST_SIDE),
    "recipes.*.patches": COUNT,
    "recipes.*.position": ANY,  # see `zsda.generation.recipes.Intermediate`
    "*editor.model": PATH,
    "editor.revision": TEXT.or_none(),
    "*.scheduler": TEXT.or_none(),
    "*editor.precision": TEXT,
    "*editor*.steps": COUNT,
    "*.guidance_interval": values.GUIDED,
    # sets
    "data.validation": ANY,
    "*.unlabelled": ANY,
    "unlabelled.images.source": ANY,
    "*.file": PATH.or_none(),
    "settings.*.splits": _TEXTS.or_none(),
    "data.watch": _TEXTS,
    "*.setting": NAME.or_none(),
    "*.domain": NAME.or_none(),
    "*.recipe": NAME,
    "data.weather": TEXT.or_none(),
    "*.target": NAME.or_none(),
    "*.min_layout_score": SHARE.or_none(),
    "*.keep_best": values.PART.or_none(),
    "*.cache": FLAG,
    "*.root": PATH.or_none(),
    "*.split": TEXT,
    "*.subset": PATH.or_none(),
    "*.condition": NAME.or_none(),
    "*.only_size": SIDES.or_none(),
    "*.needs_labels": FLAG,
    "*.check_labels": FLAG,
    "unlabelled.suffix": Kind("a text, which may be empty", lambda value: isinstance(value, str), is_text=True),
    "unlabelled.size": SIZE,
    # what is done to images
    "*transform.size": SIZE,
    "*transform.crop": SIZE.or_none(),
    "*transform.scale": values.FACTORS.or_none(),
    **dict.fromkeys((f"*transform.{name}" for name in ("brightness", "contrast", "saturation")), values.FACTORS),
    "*transform.hue": values.HUE,
    **dict.fromkeys((f"*transform.{name}" for name in ("flip", "blur", "cutout")), PROBABILITY),
    "*.heights": values.HEIGHTS,
    "*.strong": ANY,
    "*.copy_paste": ANY,
    "*.strong.count": values.whole(0),
    "*.strong.bits": values.BITS,
    "*.strong.threshold": values.THRESHOLD,
    "*.strong.probability": PROBABILITY,
    "*.strong.jitter": values.JITTER,
    "*.strong.kernels": values.KERNELS,
    "*.strong.gain": values.FACTORS,
    "*.strong.offset": values.OFFSET,
    # trainings
    "method.name": NAME,
    "method.scope": NAME.or_none(),
    "method.epochs.*": COUNT,
    "method.phases.*.epochs": COUNT.or_none(),
    "method.phases.*.steps": COUNT.or_none(),
    "method.phases.*.horizon": COUNT.or_none(),
    "*.selector.start": SHARE,
    "method.phases.*.start": TEXT.or_none(),
    "method.phases.*.labels": TEXT.or_none(),
    "method.phases.*.network": TEXT,
    "method.phases.*.size": SIZE,
    "method.phases.*.views": values.list_of(TEXT, "a list, for example [source,target]", least=1),
    "method.phases.*.parts": values.list_of(TEXT, "a list of source, unlabelled or both", least=1),
    "method.rounds.label_size": SIZE,
    "method.phases.*.data.batch_size": _BATCH,
    "method.phases.*.batch_size": COUNT,
    **dict.fromkeys(("data.batch_size", "method.batch_size", "method.rounds.batch_size"), _BATCH),
    "*.hard": COUNT,
    "*.donors": COUNT,
    "*.left_out": _TEXTS,
    "*.lr": POSITIVE,
    "*.weight_decay": NOT_NEGATIVE,
    "*.momentum": SHARE,
    "*.betas": values.list_of(values.number(0, 1), "two numbers from 0 to 1", least=2),
    "*.power": NOT_NEGATIVE,
    "*.floor": NOT_NEGATIVE,
    "*schedule.by": values.one_of("unit", "step"),
    "*schedule.rise": SHARE,
    "*schedule.every": COUNT,
    "*schedule.factor": SHARE,
    "*_weight": NOT_NEGATIVE,
    "*.task.similarity": values.SIMILARITY,
    "*.task.decay": SHARE,
    "*.task.head": POSITIVE,
    "*.task.freeze_batch_norm": FLAG,
    **dict.fromkeys((f"*.task.{name}" for name in ("maps", "distance", "region")), TEXT),
    **dict.fromkeys((f"*.selector.{name}" for name in ("alpha", "beta", "start", "portion")), SHARE),
    "*.selector.gamma": NOT_NEGATIVE,
    "*.selector.interval": COUNT,
    # networks
    "model.weights": PATH.or_none(),
    "model.num_classes": values.whole(1, _MOST_CLASSES),
    "model.width": _WIDTH,
    "model.skip": _WIDTH,
    "model.output_stride": COUNT,
    "model.encoder_depth": values.whole(1, 10),
    "model.rates": values.list_of(_WIDTH, "a list of whole numbers of at least 1, e.g. [6,12,18]", least=1),
    "model.decoder_channels": values.either(
        "a number of channels, or a list of them, e.g. [256,128,64]", _WIDTH, values.list_of(_WIDTH, "", least=1)
    ),
    **dict.fromkeys(("model.backbone", "model.encoder", "model.architecture"), TEXT),
    "model.pretrained": values.either("true, false or the name of a file of torchvision", FLAG, TEXT),
    # worlds
    "world.name": NAME,
    "world.prepare": ANY,
    "world.prepare.trained_on": ANY,
    "world.network.*": ANY,  # what options below model and trainer are by default
    "world.gta5_*": PATH.or_none(),
    "world.editor.*_guidance": ANY,
    "world.size": SIZE,
    "world.crop": SIZE,
    "world.protocol_size.*": SIZE,
    "world.crop_heights.*": values.HEIGHTS,
    "world.canvas": SIDES,
    "world.patch_size": PATCH,
    "world.max_drift": POSITIVE.or_none(),
    "world.fog_frames": SIDES.or_none(),
    **dict.fromkeys((f"world.prepare.{name}" for name in ("train", "val", "test")), values.whole(0)),
    "*.seed": SEED,
}
"""Pattern of an option, of one command alone after ``command:`` -> what it can be; the first that matches counts."""

_MATCHERS = [(re.compile(fnmatch.translate(key if ":" in key else f"*:{key}")), kind) for key, kind in OPTIONS.items()]


@functools.cache
def kind_of(command: str, key: str) -> Kind | None:
    """Returns what an option of a command can be; None where any value may be right."""
    return next((kind for matcher, kind in _MATCHERS if matcher.fullmatch(f"{command}:{key}")), None)


def check_options(config: DictConfig, command: str, given: Sequence[str]) -> None:
    """Refuses values that no option of its kind takes; all of them are told at once.

    Options of classes of others are left to those.

    Args:
        config: the whole.
        command: the name of the command.
        given: the words of its command line. Where one of them is wrong, what others repeat of it is not told.

    Raises:
        ZsdaError: options have other values than they can have.
    """
    keys = [word.lstrip("+").partition("=")[0] for word in given if not word.startswith("~")]
    leaves, wrong = dict(_leaves(config)), Gathered()
    for word in given:
        with wrong.gather():
            _check_is_no_node(word.partition("=")[0], leaves, command)  # a new one, with +, may be anything
    _check_leaves(
        [leaf for key in keys for leaf in leaves if leaf == key or leaf.startswith(f"{key}.")], leaves, command, wrong
    )
    wrong.conclude()
    _check_leaves(list(leaves), leaves, command, wrong)
    wrong.conclude()


def check_together(config: DictConfig) -> None:
    """Refuses values, each right by itself, that do not go together; all of them are told at once.

    Args:
        config: the whole, each option as it will be used.

    Raises:
        ZsdaError: some do not.
    """
    wrong = Gathered()
    for check in _together(config, dict(_leaves(config))):
        with wrong.gather():
            check()
    wrong.conclude()


def _together(config: DictConfig, leaves: Mapping[str, Any]) -> Iterator[Callable[[], None]]:
    """Yields what refuses values that do not go together."""
    for key, crop in leaves.items():
        above, _, name = key.rpartition(".")
        # Of what is edited alone nothing is cropped.
        if "method" in config and name == "crop" and above.endswith("transform") and f"{above}.size" in leaves:
            yield partial(values.check_crop, above, leaves[f"{above}.size"], crop, leaves.get(f"{above}.scale"))
        if name == "patch_size" and above.startswith("recipes.") and f"{above}.canvas" in leaves:
            patch = [crop, crop] if isinstance(crop, int) else crop
            yield partial(values.check_patch, above.removeprefix("recipes."), leaves[f"{above}.canvas"], patch)
    for name in OmegaConf.select(config, "method.phases", default={}):
        lengths = [leaves.get(f"method.phases.{name}.{unit}") for unit in ("epochs", "steps", "horizon")]
        if any(length is not None for length in lengths):
            yield partial(values.check_length, str(name), *lengths)


def _check_leaves(keys: Sequence[str], leaves: Mapping[str, Any], command: str, wrong: Gathered) -> None:
    for key in dict.fromkeys(keys):
        kind = kind_of(command, key)
        if kind is not None:
            with wrong.gather():
                kind.check(key, leaves[key])


def _check_is_no_node(key: str, leaves: Mapping[str, Any], command: str) -> None:
    """Refuses one value in the place of a group of options; what the table does not know may be anything."""
    if key not in leaves or kind_of(command, key) is not None or leaves[key] == {}:
        return
    named = any(node.count(".") == key.count(".") and fnmatch.fnmatch(key, node) for node in _NODES)
    if named or any(_begins_with(key, pattern, command) for pattern in OPTIONS):
        raise ConfigError(
            f"{key}={values.shown(leaves[key])}; expected options below it, {key}.NAME=..., which --help shows"
        )


def _begins_with(key: str, pattern: str, command: str) -> bool:
    """Tells whether a pattern is of an option below a key of a command; one for keys of any beginning is not."""
    of, _, plain = pattern.rpartition(":")
    parts, own = plain.split("."), key.split(".")
    known = fnmatch.fnmatch(command, of or "*") and "*" not in parts[0]
    return known and len(parts) > len(own) and all(map(fnmatch.fnmatch, own, parts))


def _leaves(node: DictConfig, prefix: str = "", foreign: bool = False) -> Iterator[tuple[str, Any]]:
    """Yields dotted key -> plain value, of all that can be told; what refers to nothing yet is told where it is needed."""
    foreign = _is_foreign(node, foreign)
    for name in node:
        key = f"{prefix}{name!s}"
        try:
            if OmegaConf.is_missing(node, name):
                continue
            value = node[name]
        except (OmegaConfBaseException, ConfigError):
            continue
        if isinstance(value, DictConfig) and len(value):
            yield from _leaves(value, f"{key}.", foreign)
        elif not foreign:
            yield key, _plain(value)


def _is_foreign(node: DictConfig, before: bool) -> bool:
    target = node.get("_target_")
    return before if target is None else not str(target).startswith(_OWN)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of a config
    if isinstance(value, ListConfig | DictConfig):
        try:
            return OmegaConf.to_container(value, resolve=True)
        except OmegaConfBaseException:
            return OmegaConf.to_container(value, resolve=False)
    return value
