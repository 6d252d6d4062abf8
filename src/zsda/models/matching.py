"""Whether weights belong to a network, and which network they would belong to."""

import re
from collections.abc import Mapping, Set
from pathlib import Path

from torch import Tensor, nn

from zsda.core.errors import ModelError
from zsda.core.reasons import reason

# A key that only this network has, what it is called under model=, and the key whose first dimension is the outputs.
_NETWORKS = (
    ("classifier.p_ims1d2_outl1_dimred.weight", "refinenet", "classifier.clf_conv.weight"),
    ("classifier.aspp.project.0.weight", "deeplabv3plus", "classifier.classifier.3.weight"),
    ("aspp.conv2d_list.0.weight", "deeplabv2", "aspp.conv2d_list.0.weight"),
    ("segmentation_head.0.weight", "smp (or miniature)", "segmentation_head.0.weight"),
)
# Blocks of the third stage, and whether they are bottlenecks -> the ResNet.
_RESNETS = {
    (2, False): "resnet18",
    (6, False): "resnet34",
    (6, True): "resnet50",
    (23, True): "resnet101",
    (36, True): "resnet152",
}


def load_exactly(
    model: nn.Module, state: Mapping[str, Tensor], path: Path, otherwise: str = "", choose: str = "the model="
) -> None:
    """Loads a whole network, every key of it.

    Args:
        model: the network; a part that its ``may_lack`` names, by the beginning of its keys, may be missing as a whole.
        state: its parameters and buffers.
        path: where they are from, for the message.
        otherwise: another way out, which the message names last.
        choose: what the message advises to choose.

    Raises:
        ModelError: keys are missing or unknown, or shapes differ; the message names them, and the options to choose where the
            keys tell.
    """
    own = model.state_dict()
    shapes = [
        f"{key} is {tuple(state[key].shape)}, expected {tuple(own[key].shape)}"
        for key in own.keys() & state.keys()
        if state[key].shape != own[key].shape
    ]
    lacking = own.keys() - state.keys()
    dispensable = _dispensable(model, own, lacking)
    differing = {"missing": lacking - dispensable, "unknown": state.keys() - own.keys(), "shapes": shapes}
    if any(differing.values()):
        advice = _advice(own, state)
        named = (f"{what}: {_first(sorted(keys), 1 if advice else 3)}" for what, keys in differing.items() if keys)
        raise ModelError(
            f"{path} does not fit {type(model).__name__}: {'; '.join(named)}; choose {choose} that the file was made with"
            f"{advice}{otherwise}"
        )
    try:
        model.load_state_dict({**{key: own[key] for key in dispensable}, **state})
    except RuntimeError as error:  # tensors of other kinds, such as sparse ones
        raise ModelError(f"{path} cannot be loaded into {type(model).__name__}: {reason(error)}") from error


def _dispensable(model: nn.Module, own: Mapping[str, Tensor], lacking: Set[str]) -> set[str]:
    """Returns the keys among ``lacking`` that a file may lack, because all of their part are."""
    parts = ({key for key in own if key.startswith(prefix)} for prefix in getattr(model, "may_lack", ()))
    return {key for part in parts if part <= lacking for key in part}


def _first(names: list[str], count: int) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")


def _advice(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    asked, found = _options(own), _options(state)
    if "model" not in found:
        return ""
    if found["model"] == asked.get("model"):
        found = {option: value for option, value in found.items() if value != asked.get(option)}
    return f": {' '.join(f'{option}={value}' for option, value in found.items())}" if found else ""


def _options(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Returns the options that made a network of ours, as far as its keys and shapes tell."""
    network = next((entry for entry in _NETWORKS if entry[0] in state), None)
    if network is None:
        return {}
    _, name, outputs = network
    options = {"model": name}
    blocks = {match.group(1) for key in state if (match := re.match(r"backbone\.layer3\.(\d+)\.", key))}
    resnet = _RESNETS.get((len(blocks), "backbone.layer3.0.conv3.weight" in state))
    if resnet is not None:
        options["model.backbone"] = resnet
    if outputs in state:
        options["model.num_classes"] = str(len(state[outputs]))
    return options
