import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tests.adaptation.tasks.small import (
    LR,
    STEPS,
    UNSWAYED,
    SmallNetwork,
    moved,
    published_adam,
    published_rates,
    reference_of,
    same,
    source_and_unlabelled,
    trained,
    untaught,
    without,
)
from zsda.adaptation.tasks.adversarial import Adversarial
from zsda.core.errors import ConfigError
from zsda.models import discriminator

OWN_LR = 2e-3
OWN = {"discriminator_optimizer": partial(torch.optim.Adam, lr=OWN_LR, betas=(0.9, 0.999)), "adversarial_weight": 0.05}


def probabilities(logits):
    return logits.softmax(1)


def self_information(logits):
    p = logits.softmax(1)
    return -p * torch.log2(p + 1e-30) / math.log2(logits.shape[1])


def squares(verdict, domain):
    return ((verdict - domain) ** 2).mean()


def cross_entropy(verdict, domain):
    return F.binary_cross_entropy_with_logits(verdict, torch.full_like(verdict, domain))


def published(network, judge, batches, maps, distance, adversarial, entropy=0.0, own=1.0, source=1.0):
    """The published adversarial warm-up, with its two passes backwards; 0 is the source, 1 the unlabelled images.

    Returns the network and the discriminator as they end, and the losses of each step.
    """
    network, judge = reference_of(network, frozen=True), judge.double().train()
    first, second = published_adam(network), torch.optim.Adam(judge.parameters(), OWN_LR, (0.9, 0.999))
    losses = []
    for step, batch in enumerate(batches):
        published_rates([first, second], [LR, 10 * LR, OWN_LR], step)
        first.zero_grad()
        of_source, of_unlabelled = (network(batch[part]["images"]["weak"])[:, :19] for part in ("source", "unlabelled"))
        seen_source, seen_unlabelled = maps(of_source), maps(of_unlabelled)
        told = {
            "loss_source": F.cross_entropy(of_source, batch["source"]["mask"].long(), ignore_index=255),
            "loss_adversarial": distance(judge(seen_unlabelled), 0.0),
        }
        told["loss"] = source * told["loss_source"] + adversarial * told["loss_adversarial"]
        if entropy:
            told["loss_entropy"] = self_information(of_unlabelled).sum(1).mean()
            told["loss"] = told["loss"] + entropy * told["loss_entropy"]
        told["loss_discriminator"] = (
            distance(judge(seen_source.detach()), 0.0) + distance(judge(seen_unlabelled.detach()), 1.0)
        ) / 2
        told["loss"].backward()
        first.step()
        second.zero_grad()
        (own * told["loss_discriminator"]).backward()
        second.step()
        losses.append({name: value.item() for name, value in told.items()})
    return network, judge, losses


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Discriminators of two million numbers fewer, of which every training writes a checkpoint."""
    monkeypatch.setattr(discriminator, "_WIDTH", 4)


@pytest.fixture
def starts():
    """Keeps discriminators as they are before their first step."""
    return []


def keep(starts, task):
    starts.append(copy.deepcopy(task.discriminator))


@pytest.mark.parametrize(
    ("outputs", "maps", "distance", "weights"),
    [
        (19, probabilities, squares, {}),
        (19, self_information, cross_entropy, {}),
        (19, probabilities, squares, {"entropy_weight": 3.0}),
        (
            20,
            self_information,
            squares,
            {"source_weight": 0.5, "adversarial_weight": 2.0, "discriminator_weight": 0.25, "entropy_weight": 0.1},
        ),
    ],
    ids=["AdaptSegNet", "AdvEnt", "AdaptSegNet and entropy", "all weights and an output for void"],
)
def test_network_and_discriminator_learn_as_published(tmp_path, starts, outputs, maps, distance, weights):
    network, batches = SmallNetwork(outputs), [source_and_unlabelled(seed) for seed in range(STEPS)]
    names = {"maps": maps.__name__}
    names["distance"] = "least_squares" if distance is squares else "binary_cross_entropy"
    task, logged = trained(
        Adversarial, network, batches, tmp_path, partial(keep, starts), **{**OWN, **names, **weights}
    )
    reference, judge, losses = published(
        network,
        starts[0],
        batches,
        maps,
        distance,
        adversarial=weights.get("adversarial_weight", 0.05),
        entropy=weights.get("entropy_weight", 0.0),
        own=weights.get("discriminator_weight", 1.0),
        source=weights.get("source_weight", 1.0),
    )
    assert len(logged) == STEPS
    for one, other in zip(logged, losses, strict=True):
        assert one == pytest.approx(other, abs=1e-11)
    assert same(task.model, reference)
    assert same(task.discriminator, judge)


def test_the_published_maps_and_distance_are_what_is_taken_unasked(tmp_path, starts):
    network, batches = SmallNetwork(), [source_and_unlabelled(0)]
    _, logged = trained(Adversarial, network, batches, tmp_path, partial(keep, starts), **OWN)
    *_, losses = published(network, starts[0], batches, probabilities, squares, adversarial=0.05)
    assert logged[0] == pytest.approx(losses[0], abs=1e-11)


def test_what_the_network_learns_does_not_reach_the_discriminator(tmp_path, starts):
    batches = [source_and_unlabelled(seed) for seed in range(STEPS)]
    own = {**OWN, "adversarial_weight": 1e3, "discriminator_weight": 0.0}
    task, _ = trained(Adversarial, SmallNetwork(), batches, tmp_path, partial(keep, starts), **own)
    assert moved(task.discriminator, starts[0]) == set()


def test_the_network_alone_is_what_is_left(tmp_path):
    task, _ = trained(Adversarial, SmallNetwork(), [source_and_unlabelled(0)], tmp_path, **OWN)
    assert task.networks() == {"weights": task.model}
    assert task.steps == STEPS, "a step of each of the two optimisers counts as one"


@pytest.mark.parametrize("part", ["source", "unlabelled"])
def test_a_batch_with_a_part_of_damaged_files_only_teaches_nothing(tmp_path, starts, part):
    network, batches = SmallNetwork(), [without(part, source_and_unlabelled(0))] * STEPS
    still = {**OWN, "optimizer": UNSWAYED, "discriminator_optimizer": UNSWAYED}
    task = untaught(Adversarial, network, batches, tmp_path, partial(keep, starts), **still)
    assert moved(task.model, network) == moved(task.discriminator, starts[0]) == set()
    assert task.faults.messages == ["a.png: cannot be decoded"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"maps": "logits"}, "task.maps=logits; expected probabilities or self_information"),
        ({"distance": "mse"}, "task.distance=mse; expected least_squares or binary_cross_entropy"),
        ({"adversarial_weight": -1}, "task.adversarial_weight=-1; expected a number of at least 0"),
        ({"discriminator_weight": "abc"}, "task.discriminator_weight=abc; expected a number"),
    ],
)
def test_unknown_names_and_weights_that_make_no_sense_are_refused(tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        trained(Adversarial, SmallNetwork(), [], tmp_path, **{**OWN, **given})
