import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tests.reference import recorded
from zsda.adaptation.losses import (
    adversarial_loss,
    binary_cross_entropy,
    cross_entropy,
    discriminator_loss,
    entropy_on_ignored,
    kld_on_confident,
    least_squares,
    normalised_entropy,
    soft_cross_entropy,
    weighted_self_information,
)
from zsda.core.errors import ConfigError
from zsda.data.labels import IGNORE

REGULARISATION = {
    "ce": cross_entropy,
    "kld_confident": kld_on_confident,
    "entropy_ignored": entropy_on_ignored,
}
CONSISTENCY = {
    "softce_ignored": partial(soft_cross_entropy, region="ignored"),
    "softce_all": partial(soft_cross_entropy, region="all"),
}


def published():
    found = recorded("hiast_losses")
    return {**found, "labels": torch.from_numpy(found["labels"]).long(), "teacher": torch.from_numpy(found["teacher"])}


@pytest.mark.parametrize("name", [*REGULARISATION, *CONSISTENCY, "adv_entropy_minimisation"])
def test_the_published_values_and_gradients_are_reproduced(name):
    found = published()
    logits = torch.from_numpy(found["logits"]).requires_grad_()
    if name in REGULARISATION:
        loss = REGULARISATION[name](logits, found["labels"])
    elif name in CONSISTENCY:
        loss = CONSISTENCY[name](logits, found["teacher"], found["labels"])
    else:
        loss = normalised_entropy(logits)
    loss.backward()
    gradient = torch.from_numpy(found[f"grad_{name}"])
    assert loss.item() == pytest.approx(float(found[name]), abs=1e-6)
    assert (logits.grad - gradient).abs().max() < 1e-5 * gradient.abs().max()


def test_the_published_self_information_is_reproduced():
    found = published()
    maps = weighted_self_information(torch.from_numpy(found["logits"]))
    assert (maps - torch.from_numpy(found["weighted_self_information"])).abs().max() < 1e-6


def two_pixels():
    """Logits of a labelled pixel, p = (3/4, 1/4), and of an ignored one, p = (1/2, 1/2); labels; a teacher that is sure."""
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]]).T.reshape(1, 2, 1, 2).double()
    return logits, torch.tensor([[[0, IGNORE]]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]).T.reshape(1, 2, 1, 2).double()


def test_values_worked_out_by_hand():
    logits, labels, teacher = two_pixels()
    quarter, ln2 = math.log(4), math.log(2)
    assert cross_entropy(logits, labels).item() == pytest.approx(math.log(4 / 3))
    assert kld_on_confident(logits, labels).item() == pytest.approx((math.log(4 / 3) + quarter) / 4)
    assert entropy_on_ignored(logits, labels).item() == pytest.approx(ln2 / 2)
    # Of the teacher's entries half are 0 and do not count.
    assert soft_cross_entropy(logits, teacher).item() == pytest.approx((math.log(4 / 3) + ln2) / 2)
    assert soft_cross_entropy(logits, teacher, labels, "ignored").item() == pytest.approx(ln2)
    assert soft_cross_entropy(logits, teacher, labels, "confident").item() == pytest.approx(math.log(4 / 3))
    of_first = 0.75 * math.log2(4 / 3) + 0.25 * 2
    assert normalised_entropy(logits).item() == pytest.approx((of_first + 1) / 2)
    assert weighted_self_information(logits)[0, :, 0, 1].tolist() == pytest.approx([0.5, 0.5])


def test_the_papers_mean_is_over_pixels():
    logits, labels, _ = two_pixels()
    teacher = torch.full_like(logits, 0.5)
    for loss in (kld_on_confident, entropy_on_ignored):
        assert loss(logits, labels, over="pixels").item() == pytest.approx(2 * loss(logits, labels).item())
    assert soft_cross_entropy(logits, teacher, over="pixels").item() == pytest.approx(
        2 * soft_cross_entropy(logits, teacher).item()
    )


@pytest.mark.parametrize(
    ("loss", "value"),
    [
        (cross_entropy, IGNORE),
        (kld_on_confident, IGNORE),
        (entropy_on_ignored, 1),
        (partial(kld_on_confident, over="pixels"), IGNORE),
        (partial(entropy_on_ignored, over="pixels"), 1),
        *(
            (lambda x, y, region=region, over=over: soft_cross_entropy(x, F.softmax(x, 1), y, region, over), value)
            for region, value in (("ignored", 1), ("confident", IGNORE))
            for over in ("entries", "pixels")
        ),
    ],
)
def test_a_region_without_pixels_gives_zero_and_a_gradient_of_zero(loss, value):
    logits = torch.randn(1, 5, 2, 2, requires_grad=True)
    found = loss(logits, torch.full((1, 2, 2), value))
    found.backward()
    assert found.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", [*REGULARISATION, *CONSISTENCY, "adv_entropy_minimisation"])
def test_certain_predictions_give_finite_gradients(name):
    """Probabilities that underflow to 0 in float32."""
    logits = (200 * F.one_hot(torch.arange(4).view(1, 2, 2), 5).movedim(-1, 1).float()).requires_grad_()
    labels, teacher = torch.tensor([[[0, IGNORE], [1, IGNORE]]]), F.softmax(-logits.detach(), dim=1)
    if name in REGULARISATION:
        loss = REGULARISATION[name](logits, labels)
    else:
        loss = CONSISTENCY[name](logits, teacher, labels) if name in CONSISTENCY else normalised_entropy(logits)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_is_calculated_in_float32():
    found = published()
    logits = torch.from_numpy(found["logits"])
    for loss in REGULARISATION.values():
        half = loss(logits.half(), found["labels"])
        assert half.dtype == torch.float32
        assert half.item() == pytest.approx(loss(logits.half().float(), found["labels"]).item(), abs=1e-7)
    assert soft_cross_entropy(logits.half(), found["teacher"].half()).dtype == torch.float32
    assert least_squares(logits.half(), 1.0).dtype == binary_cross_entropy(logits.half(), 1.0).dtype == torch.float32


def test_no_gradient_reaches_the_teacher():
    logits, labels, teacher = two_pixels()
    teacher.requires_grad_()
    assert not soft_cross_entropy(logits, teacher, labels, "ignored").requires_grad


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"region": "ignored"}, "region=ignored without labels; expected all, or ignored or confident and labels"),
        ({"region": "sky", "labels": torch.zeros(1, 1, 2)}, "region=sky with labels; expected"),
        ({"over": "classes"}, "over=classes; expected entries or pixels"),
    ],
)
def test_unknown_regions_and_means_are_refused(arguments, message):
    logits, _, teacher = two_pixels()
    with pytest.raises(ConfigError, match=message):
        soft_cross_entropy(logits, teacher, **arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y, q: kld_on_confident(x, y[:1]), r"labels of shape \(1, 2, 3\); expected \(2, 2, 3\)"),
        (lambda x, y, q: entropy_on_ignored(x, y[:, :1]), r"labels of shape \(2, 1, 3\); expected \(2, 2, 3\)"),
        (lambda x, y, q: soft_cross_entropy(x, q, y[:1], "ignored"), "labels of shape"),
        (
            lambda x, y, q: soft_cross_entropy(x, q[:1]),
            r"probabilities of shape \(1, 5, 2, 3\); expected \(2, 5, 2, 3\)",
        ),
    ],
)
def test_shapes_that_would_mix_images_are_refused(call, message):
    logits = torch.randn(2, 5, 2, 3)
    with pytest.raises(ConfigError, match=message):
        call(logits, torch.full((2, 2, 3), IGNORE), logits.softmax(dim=1))


def test_gradients_of_the_adversarial_pair_worked_out_by_hand():
    source, unlabelled = (torch.tensor([v], requires_grad=True) for v in (0.5, 2.0))
    discriminator_loss(source, unlabelled).backward()
    assert (source.grad.item(), unlabelled.grad.item()) == pytest.approx((0.5, 1.0))
    source.grad = unlabelled.grad = None
    adversarial_loss(unlabelled, binary_cross_entropy).backward()
    assert unlabelled.grad.item() == pytest.approx(1 / (1 + math.exp(-2)))


def test_adversarial_losses_worked_out_by_hand():
    source, unlabelled = torch.tensor([0.5, -0.5]), torch.tensor([2.0])
    assert adversarial_loss(unlabelled).item() == pytest.approx(4.0)  # shall be 0, as the source is
    assert discriminator_loss(source, unlabelled).item() == pytest.approx((0.25 + 1.0) / 2)  # 0 and 1
    softplus = [math.log1p(math.exp(value)) for value in (0.5, -0.5, 2.0)]
    assert adversarial_loss(unlabelled, binary_cross_entropy).item() == pytest.approx(softplus[2])
    expected = (sum(softplus[:2]) / 2 + softplus[2] - 2.0) / 2
    assert discriminator_loss(source, unlabelled, binary_cross_entropy).item() == pytest.approx(expected)
