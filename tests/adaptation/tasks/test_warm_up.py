import math

import pytest
import torch
import torch.nn.functional as F

from tests.adaptation.tasks.small import (
    LR,
    STEPS,
    UNSWAYED,
    SmallNetwork,
    moved,
    part_of,
    published_adam,
    published_rates,
    reference_of,
    same,
    source_and_unlabelled,
    trained,
    untaught,
    without,
)
from zsda.adaptation.tasks.warm_up import WarmUp
from zsda.core.errors import ConfigError


def published(network, batches, frozen, entropy=0.0, source=1.0, classes=19):
    """The published warm-up without discriminator; returns the network as it ends and the losses of each step."""
    network = reference_of(network, frozen)
    optimizer, losses = published_adam(network), []
    for step, batch in enumerate(batches):
        published_rates([optimizer], [LR, 10 * LR], step)
        optimizer.zero_grad()
        logits = network(batch["source"]["images"]["weak"])[:, :classes]
        told = {"loss_source": F.cross_entropy(logits, batch["source"]["mask"].long(), ignore_index=255)}
        total = source * told["loss_source"]
        if entropy:
            p = network(batch["unlabelled"]["images"]["weak"])[:, :classes].softmax(1)
            told["loss_entropy"] = (-p * torch.log2(p + 1e-30) / math.log2(classes)).sum(1).mean()
            total = total + entropy * told["loss_entropy"]
        total.backward()
        optimizer.step()
        losses.append({name: value.item() for name, value in {**told, "loss": total}.items()})
    return network, losses


def check(found, expected):
    (task, logged), (network, losses) = found, expected
    assert len(logged) == STEPS
    for one, other in zip(logged, losses, strict=True):
        assert one == pytest.approx(other, abs=1e-11)
    assert same(task.model, network)


@pytest.mark.parametrize("outputs", [19, 20], ids=["", "with an output for void"])
def test_the_source_alone_is_learnt_as_published(tmp_path, outputs):
    network, batches = SmallNetwork(outputs), [{"source": part_of(seed)} for seed in range(STEPS)]
    found = trained(WarmUp, network, batches, tmp_path, freeze_batch_norm=False)
    check(found, published(network, batches, frozen=False))
    assert moved(found[0].model, network) == set(network.state_dict())


def test_entropy_is_minimised_as_published(tmp_path):
    network, batches = SmallNetwork(), [source_and_unlabelled(seed) for seed in range(STEPS)]
    found = trained(WarmUp, network, batches, tmp_path, entropy_weight=3.0, source_weight=0.5)
    check(found, published(network, batches, frozen=True, entropy=3.0, source=0.5))


def test_frozen_normalisation_takes_no_gradient_but_its_statistics_move(tmp_path):
    network, batches = SmallNetwork(), [{"source": part_of(seed)} for seed in range(STEPS)]
    task, _ = trained(WarmUp, network, batches, tmp_path)
    frozen = {"backbone.1.weight", "backbone.1.bias"}
    assert moved(task.model, network) == set(network.state_dict()) - frozen
    assert all(parameter.grad is None for parameter in task.model.backbone[1].parameters())
    assert task.model.training


def test_unlabelled_images_are_not_looked_at_without_a_weight(tmp_path):
    network, batches = SmallNetwork(), [source_and_unlabelled(seed) for seed in range(STEPS)]
    task, logged = trained(WarmUp, network, batches, tmp_path)
    assert all(one.keys() == {"loss", "loss_source"} for one in logged)
    alone, _ = trained(WarmUp, network, [{"source": b["source"]} for b in batches], tmp_path / "alone")
    assert same(task.model, alone.model)


@pytest.mark.parametrize("part", ["source", "unlabelled"])
def test_a_batch_with_a_part_of_damaged_files_only_teaches_nothing(tmp_path, part):
    network, batches = SmallNetwork(), [without(part, source_and_unlabelled(0))] * STEPS
    task = untaught(WarmUp, network, batches, tmp_path, optimizer=UNSWAYED, entropy_weight=3.0)
    assert moved(task.model, network) == set()
    assert task.faults.messages == ["a.png: cannot be decoded"]


def test_a_network_with_too_few_outputs_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"the network has 18 outputs; expected at least 19, see model\.num_classes"):
        trained(WarmUp, SmallNetwork(18), [{"source": part_of(0)}], tmp_path)


def test_a_network_without_backbone_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="the head learns 10 times faster than a backbone, and Conv2d has none"):
        trained(WarmUp, torch.nn.Conv2d(3, 19, 1), [{"source": part_of(0)}], tmp_path)


@pytest.mark.parametrize("given", [{"entropy_weight": -1}, {"source_weight": "abc"}, {"head": float("nan")}])
def test_numbers_that_make_no_sense_are_refused(tmp_path, given):
    ((name, value),) = given.items()
    with pytest.raises(ConfigError, match=f"task.{name}={value}; expected a number of at least 0"):
        trained(WarmUp, SmallNetwork(), [], tmp_path, **given)


def test_a_training_without_a_loss_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"task.source_weight and task.entropy_weight are both 0; expected one above"):
        trained(WarmUp, SmallNetwork(), [], tmp_path, source_weight=0)


def test_a_part_that_is_looked_at_and_not_read_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"looks at the part unlabelled, and data\.parts=\[source\]; expected it there"
    ):
        trained(WarmUp, SmallNetwork(), [{"source": part_of(0)}], tmp_path, entropy_weight=3.0)
