import numpy as np
import pytest
import torch

from tests.reference import recorded
from zsda.core.errors import ConfigError, ModelError, StoreError
from zsda.data.labels import IGNORE
from zsda.pseudo_labels.selectors import (
    AllSelector,
    ClassBalancedSelector,
    ConstantSelector,
    InstanceAdaptiveSelector,
)


def one_pixel_each(*pixels):
    """Probabilities of an image of a row of pixels, each given as its class among three and its confidence."""
    found = torch.zeros(1, 3, 1, len(pixels))
    for place, (number, confidence) in enumerate(pixels):
        found[0, :, 0, place] = (1 - confidence) / 2
        found[0, number, 0, place] = confidence
    return found


def followed(selector, batches):
    labels, thresholds = [], []
    for batch in batches:
        labels.append(selector.select(torch.from_numpy(batch)))
        thresholds.append(selector.thresholds.numpy().copy())
    return torch.cat(labels).numpy(), np.array(thresholds)


def check_counts(selector, found):
    assert selector.class_pixels.tolist() == found["class_pixels"].tolist()
    assert np.abs(selector.class_mean_probabilities.numpy() - found["class_mean_probs"]).max() < 1e-6


def test_the_published_selection_is_reproduced():
    found = recorded("hiast_ias")
    selector = InstanceAdaptiveSelector(19, alpha=0.5, beta=0.9, gamma=8)
    labels, thresholds = followed(selector, found["probabilities"].reshape(6, 2, 19, 24, 40))
    # The recorded tolerance is 1e-3; with the same rounding at the same places nothing is left of it.
    assert np.abs(thresholds - found["thresholds"]).max() < 1e-12
    assert (labels == found["pseudo_labels"]).all()
    check_counts(selector, found)


def test_rounding_resets_a_very_easy_class_when_the_published_code_does():
    found = recorded("hiast_ias_easy")
    selector = InstanceAdaptiveSelector(5, alpha=0.5, beta=0.9, gamma=8)
    labels, thresholds = followed(selector, found["probabilities"])
    assert np.abs(thresholds - found["thresholds"]).max() < 1e-12
    assert (labels == found["pseudo_labels"]).all()
    check_counts(selector, found)
    fallen = np.flatnonzero(np.diff(thresholds[:, 0]) < 0)
    assert len(fallen) == 1
    assert thresholds[fallen[0] + 1, 0] == 0.999
    assert 0.999 < thresholds[fallen[0], 0] < 1
    # A class without pixels keeps its threshold but for the rounding to float32.
    assert thresholds[-1, 4] == pytest.approx(0.9, abs=1e-7)
    assert selector.class_mean_probabilities[4] == selector.class_pixels[4] == 0


def test_a_threshold_moves_before_the_batch_is_labelled():
    selector = InstanceAdaptiveSelector(3, alpha=1.0, beta=0.5, gamma=0, start=0.8)
    # The list of class 0 is 0.8, 0.75, of which the 0-quantile is 0.75: the threshold becomes 0.775.
    labels = selector.select(one_pixel_each((0, 0.75), (1, 0.79)))
    assert selector.thresholds.tolist() == pytest.approx([0.775, 0.795, 0.8], abs=1e-3)
    assert labels.tolist() == [[[IGNORE, IGNORE]]]
    assert selector.select(one_pixel_each((0, 0.79))).tolist() == [[[0]]]


@pytest.mark.parametrize("above", [0.0, 1e-12])
def test_a_pixel_is_kept_where_it_reaches_its_threshold_in_float64(above):
    confidence = float(np.float32(0.9))
    selector = ConstantSelector(3, threshold=confidence + above)
    assert selector.select(one_pixel_each((2, confidence)))[0, 0, 0] == (IGNORE if above else 2)


def test_class_means_begin_with_the_first_and_then_move_slowly():
    selector = ConstantSelector(3, threshold=0.6)
    selector.select(one_pixel_each((0, 0.7), (0, 0.9), (1, 0.55)))
    assert selector.class_mean_probabilities.tolist() == pytest.approx([0.8, 0, 0])
    selector.select(one_pixel_each((0, 0.6001), (1, 0.7)))
    assert selector.class_mean_probabilities.tolist() == pytest.approx([0.99 * 0.8 + 0.01 * 0.6001, 0.7, 0])
    selector.select(one_pixel_each((2, 0.5)))
    assert selector.class_mean_probabilities.tolist() == pytest.approx([0.99 * 0.8 + 0.01 * 0.6001, 0.7, 0])
    assert selector.class_pixels.tolist() == [3, 1, 0]


def test_a_given_label_goes_where_the_network_is_sure_of_another_class():
    selector = ConstantSelector(3, threshold=0.6)
    probabilities = one_pixel_each((0, 0.7), (0, 0.7), (1, 0.55), (1, 0.55), (2, 0.9), (2, 0.9))
    given = torch.tensor([[[0, 1, 1, 2, IGNORE, 2]]])
    checked = selector.select(probabilities, given)
    #                 sure of it, sure of another, unsure of it, unsure of another, never labelled, sure of it
    assert checked.tolist() == [[[0, IGNORE, 1, 2, IGNORE, 2]]]
    assert checked.dtype == torch.long
    assert given.tolist() == [[[0, 1, 1, 2, IGNORE, 2]]]
    assert (selector.predicted_pixels.tolist(), selector.class_pixels.tolist()) == ([1, 2, 2], [1, 1, 2])
    # Of class 2 one pixel is predicted with 0.9, and one has what class 1 leaves it.
    left = float(probabilities[0, 2, 0, 3])
    assert left < 0.5
    assert selector.class_mean_probabilities.tolist() == pytest.approx([0.7, 0.55, (0.9 + left) / 2])


def test_thresholds_move_alike_whether_labels_are_checked_or_not():
    random = torch.Generator().manual_seed(0)
    batches = [torch.rand((2, 5, 8, 8), generator=random).mul(6).softmax(dim=1) for _ in range(3)]
    anew, checking = (InstanceAdaptiveSelector(5, beta=0.5) for _ in range(2))
    for batch in batches:
        anew.select(batch)
        checking.select(batch, torch.zeros((2, 8, 8), dtype=torch.long))
    assert checking.thresholds.tolist() == anew.thresholds.tolist()
    assert (anew.thresholds != 0.9).all()


def test_class_balanced_thresholds_are_quantiles_over_all_images():
    random = np.random.default_rng(0)
    confidences = [0.5 + random.random((2, n)) / 2 for n in (37, 50, 3)]
    batches = [one_pixel_each(*((0, c) for c in first), *((1, c) for c in second)) for first, second in confidences]
    selector = ClassBalancedSelector(3, portion=0.2, interval=4)
    assert selector.observes
    for batch in batches:
        selector.observe(batch)
    labels = [selector.select(batch) for batch in batches]
    for number in (0, 1):
        sampled = [c[number][::4].astype(np.float32).astype(np.float16).astype(float) for c in confidences]
        assert selector.thresholds[number] == pytest.approx(np.quantile(np.concatenate(sampled), 0.8), abs=1e-12)
    assert selector.thresholds[2] == 1
    assert sum(int((label == 0).sum()) for label in labels) == pytest.approx(0.2 * 90, abs=7)
    assert selector.class_pixels[2] == 0


def test_all_and_constant():
    probabilities = one_pixel_each((0, 0.91), (1, 0.4), (2, 0.95))
    assert AllSelector(3).select(probabilities).tolist() == [[[0, 1, 2]]]
    assert ConstantSelector(3).select(probabilities).tolist() == [[[0, IGNORE, 2]]]
    assert ConstantSelector(3, 0.94).select(probabilities).tolist() == [[[IGNORE, IGNORE, 2]]]


def made(kind):
    return {
        "adaptive": lambda: InstanceAdaptiveSelector(19),
        "balanced": lambda: ClassBalancedSelector(19),
        "constant": lambda: ConstantSelector(19, 0.5),
        "all": lambda: AllSelector(19),
    }[kind]()


@pytest.mark.parametrize("kind", ["adaptive", "balanced", "constant", "all"])
def test_another_one_goes_on_from_a_saved_state(kind, tmp_path):
    batches = recorded("hiast_ias")["probabilities"].reshape(6, 2, 19, 24, 40)
    whole, first, second = made(kind), made(kind), made(kind)
    for selector in (whole, first) if whole.observes else ():
        for batch in batches:
            selector.observe(torch.from_numpy(batch))
    expected, _ = followed(whole, batches)
    begun, _ = followed(first, batches[:3])
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    rest, _ = followed(second, batches[3:])
    assert (np.concatenate([begun, rest]) == expected).all()
    for name in ("thresholds", "class_mean_probabilities", "class_pixels"):
        assert torch.equal(getattr(whole, name), getattr(second, name))


def test_a_saved_state_does_not_move_on():
    selector = InstanceAdaptiveSelector(3)
    state = selector.state_dict()
    selector.select(one_pixel_each((0, 0.7), (1, 0.9)))
    assert state["thresholds"].tolist() == [0.9] * 3
    other = InstanceAdaptiveSelector(3)
    other.load_state_dict(state)
    other.select(one_pixel_each((0, 0.7), (1, 0.9)))
    assert state["class_pixels"].tolist() == [0] * 3


@pytest.mark.parametrize(
    "foreign",
    [
        InstanceAdaptiveSelector(5).state_dict(),
        InstanceAdaptiveSelector(3, alpha=0.2).state_dict(),
        ConstantSelector(3).state_dict(),
        ClassBalancedSelector(3).state_dict(),
        {**InstanceAdaptiveSelector(3).state_dict(), "thresholds": [0.9] * 3},
        type("OtherSelector", (InstanceAdaptiveSelector,), {})(3).state_dict(),
        {},
    ],
)
def test_the_state_of_another_selector_is_refused(foreign):
    with pytest.raises(StoreError, match=r"expected that of InstanceAdaptiveSelector of 3 classes with .'alpha': 0.5"):
        InstanceAdaptiveSelector(3).load_state_dict(foreign)


def changed(change, probabilities):
    return {
        "float16": lambda p: p.half(),
        "bfloat16": lambda p: p.bfloat16(),
        "float64": lambda p: p.double() * (1 - 1e-9),
        "channels last": lambda p: p.contiguous(memory_format=torch.channels_last),
        "permuted": lambda p: p.transpose(2, 3).contiguous().transpose(2, 3),
        "with gradient": lambda p: p.clone().requires_grad_(),
    }[change](probabilities)


@pytest.mark.parametrize("change", ["float16", "bfloat16", "float64", "channels last", "permuted", "with gradient"])
def test_other_precisions_and_layouts_are_taken(change):
    given = changed(change, torch.from_numpy(recorded("hiast_ias")["probabilities"][:2]))
    plain, other = made("adaptive"), made("adaptive")
    expected = plain.select(given.detach().float().contiguous())
    found = other.select(given)
    assert torch.equal(found, expected)
    assert not found.requires_grad
    assert torch.equal(other.thresholds, plain.thresholds)
    assert torch.equal(other.class_mean_probabilities, plain.class_mean_probabilities)


def test_a_softmax_that_rounds_beyond_one_is_taken():
    assert AllSelector(3).select(one_pixel_each((0, 1.00001))).tolist() == [[[0]]]


def test_a_class_that_vanishes_for_a_batch_keeps_what_it_had():
    selector = InstanceAdaptiveSelector(3)
    selector.select(one_pixel_each((0, 0.97), (1, 0.99)))
    before = selector.thresholds.clone(), selector.class_mean_probabilities.clone()
    selector.select(one_pixel_each((0, 0.98)))
    assert selector.thresholds[1].item() == pytest.approx(before[0][1].item(), abs=1e-7)
    assert selector.class_mean_probabilities[1] == before[1][1] > 0
    assert selector.class_pixels.tolist() == [2, 1, 0]


@pytest.mark.parametrize("kind", ["adaptive", "balanced", "constant", "all"])
def test_inference_mode_and_the_rest_may_alternate(kind):
    probabilities = torch.from_numpy(recorded("hiast_ias")["probabilities"][:2])
    with torch.inference_mode():
        selector = made(kind)
        selector.observe(probabilities)
        selector.select(probabilities)
        state = selector.state_dict()
    again = made(kind)
    again.load_state_dict(state)
    for one in (selector, again):
        one.observe(probabilities)
        one.select(probabilities)
    assert torch.equal(selector.class_pixels, again.class_pixels)


def test_a_class_balanced_selector_must_have_observed():
    with pytest.raises(ConfigError, match="selects what it has observed; observe every batch first"):
        ClassBalancedSelector(3).select(one_pixel_each((0, 0.9)))


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["adaptive", "balanced", "constant"])
def test_a_gpu_gives_the_same_labels_and_the_same_state(kind):
    batches = torch.from_numpy(recorded("hiast_ias")["probabilities"].reshape(6, 2, 19, 24, 40))
    here, there = made(kind), made(kind)
    for batch in batches if here.observes else ():
        here.observe(batch)
        there.observe(batch.cuda())
    for batch in batches:
        labels = there.select(batch.cuda())
        assert labels.is_cuda
        assert torch.equal(here.select(batch), labels.cpu())
    for name in ("thresholds", "class_mean_probabilities", "class_pixels"):
        assert torch.equal(getattr(here, name), getattr(there, name))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.rand(1, 5, 2, 2), r"shape \(1, 5, 2, 2\); expected \[B, 3, H, W\]"),
        (torch.rand(3, 2, 2), r"shape \(3, 2, 2\); expected"),
        (torch.rand(0, 3, 2, 2), r"shape \(0, 3, 2, 2\); expected .* none of them 0"),
        (torch.full((1, 3, 2, 2), torch.nan), "from nan to nan; expected probabilities, the softmax of finite logits"),
        (torch.full((1, 3, 2, 2), 4.0), "from 4 to 4; expected probabilities"),
        (torch.full((1, 3, 2, 2), -1.0), "from -1 to -1; expected probabilities"),
    ],
)
@pytest.mark.parametrize("call", ["select", "observe"])
def test_what_is_no_probability_is_refused(given, message, call):
    with pytest.raises(ModelError, match=message):
        getattr(ClassBalancedSelector(3), call)(given)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (InstanceAdaptiveSelector, {"alpha": 1.5}, "alpha=1.5; expected a number from 0 to 1"),
        (InstanceAdaptiveSelector, {"beta": -0.1}, "beta=-0.1; expected a number from 0 to 1"),
        (InstanceAdaptiveSelector, {"gamma": -1}, "gamma=-1; expected a number of at least 0"),
        (InstanceAdaptiveSelector, {"gamma": float("nan")}, "gamma=nan; expected a number of at least 0"),
        (InstanceAdaptiveSelector, {"alpha": float("nan")}, "alpha=nan; expected a number from 0 to 1"),
        (InstanceAdaptiveSelector, {"start": 2}, "start=2; expected a number from 0 to 1"),
        (ClassBalancedSelector, {"portion": 20}, "portion=20; expected a number from 0 to 1"),
        (ClassBalancedSelector, {"interval": 0}, "interval=0; expected a whole number of at least 1"),
        (ConstantSelector, {"threshold": 90}, "threshold=90; expected a number from 0 to 1"),
        (AllSelector, {"num_classes": 256}, "num_classes=256; expected a whole number from 1 to 255"),
    ],
)
def test_numbers_out_of_range_are_refused(kind, arguments, message):
    with pytest.raises(ConfigError, match=message):
        kind(**{"num_classes": 3, **arguments})


@pytest.mark.parametrize("kind", ["adaptive", "balanced", "constant", "all"])
def test_its_options_make_it_anew(kind):
    selector = made(kind)
    again = type(selector)(19, **selector.options())
    assert again.options() == selector.options()
