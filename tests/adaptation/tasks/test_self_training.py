import copy

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
    trained,
    untaught,
    without,
)
from zsda.adaptation.tasks.self_training import SelfTraining
from zsda.core.errors import ConfigError

WEIGHTS = {"pseudo": 1.0, "kld": 0.1, "entropy": 1.0, "consistency": 0.5}


def pseudo_labelled(seed, **more):
    return {"unlabelled": part_of(seed, views=("weak", "strong"), **more)}


def published(network, batches, weights, decay, frozen=True):
    """A published round; returns student and teacher as they end, and the losses of each step."""
    student = reference_of(network, frozen)
    teacher = copy.deepcopy(student).eval()
    optimizer, losses = published_adam(student), []
    for step, batch in enumerate(batches):
        published_rates([optimizer], [LR, 10 * LR], step)
        views, y = batch["unlabelled"]["images"], batch["unlabelled"]["mask"].long()
        optimizer.zero_grad()
        logits = student(views["strong"])[:, :19]
        with torch.no_grad():
            q = teacher(views["weak"])[:, :19].softmax(1)
        log_p = F.log_softmax(logits, 1).movedim(1, -1)
        labelled, ignored = log_p[y != 255], log_p[y == 255]  # [pixels, 19]
        compared = -q.movedim(1, -1)[y == 255] * ignored
        told = {
            "pseudo": F.cross_entropy(logits, y, ignore_index=255),
            "kld": (-labelled / 19).sum() / (len(labelled) * 19),
            "entropy": (-ignored.exp() * ignored).sum() / (len(ignored) * 19),
            "consistency": compared.sum() / (compared != 0).sum(),
        }
        total = sum(weights[name] * loss for name, loss in told.items())
        total.backward()
        optimizer.step()
        with torch.no_grad():
            for mine, own in zip(teacher.parameters(), student.parameters(), strict=True):
                mine.copy_(decay * mine + (1 - decay) * own)
            for mine, own in zip(teacher.buffers(), student.buffers(), strict=True):
                mine.copy_(own)
        losses.append({f"loss_{name}": loss.item() for name, loss in told.items()} | {"loss": total.item()})
    return student, teacher, losses


@pytest.mark.parametrize(
    ("weights", "decay"),
    [(WEIGHTS, 0.999), ({"pseudo": 0.5, "kld": 2.0, "entropy": 3.0, "consistency": 4.0}, 0.5)],
    ids=["published weights", "others"],
)
@pytest.mark.parametrize("outputs", [19, 20], ids=["", "with an output for void"])
def test_a_round_goes_as_published(tmp_path, weights, decay, outputs):
    network, batches = SmallNetwork(outputs), [pseudo_labelled(seed) for seed in range(STEPS)]
    named = {f"{name}_weight": weight for name, weight in weights.items()}
    task, logged = trained(SelfTraining, network, batches, tmp_path, decay=decay, **named)
    student, teacher, losses = published(network, batches, weights, decay)
    assert len(logged) == STEPS
    for one, other in zip(logged, losses, strict=True):
        assert one == pytest.approx(other, abs=1e-11)
    assert same(task.model, student)
    assert same(task.teacher.module, teacher)


def test_the_published_numbers_are_what_is_taken_unasked(tmp_path):
    network, batches = SmallNetwork(), [pseudo_labelled(seed) for seed in range(STEPS)]
    task, logged = trained(SelfTraining, network, batches, tmp_path)
    student, teacher, losses = published(network, batches, WEIGHTS, 0.999)
    assert logged[-1] == pytest.approx(losses[-1], abs=1e-11)
    assert same(task.model, student) and same(task.teacher.module, teacher)


def test_the_teacher_is_in_evaluation_mode_and_sees_the_weak_view(tmp_path):
    seen = []

    def watch(task):
        task.teacher.register_forward_pre_hook(
            lambda teacher, images: seen.append((images[0].clone(), any(m.training for m in teacher.modules())))
        )

    batches = [pseudo_labelled(seed) for seed in range(STEPS)]
    task, _ = trained(SelfTraining, SmallNetwork(), batches, tmp_path, prepare=watch)
    assert len(seen) == STEPS
    for (images, training), batch in zip(seen, batches, strict=True):
        assert torch.equal(images, batch["unlabelled"]["images"]["weak"])
        assert not training
    assert not any(parameter.requires_grad for parameter in task.teacher.parameters())
    assert task.model.training


def test_student_and_teacher_are_left(tmp_path):
    task, _ = trained(SelfTraining, SmallNetwork(), [pseudo_labelled(0)], tmp_path)
    assert task.networks() == {"weights": task.model, "teacher": task.teacher.module}
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {"weights.safetensors", "teacher.safetensors"}


@pytest.mark.parametrize("name", WEIGHTS)
def test_a_term_without_weight_is_left_out(tmp_path, name):
    network, batches = SmallNetwork(), [pseudo_labelled(seed) for seed in range(STEPS)]
    task, logged = trained(SelfTraining, network, batches, tmp_path, **{f"{name}_weight": 0.0})
    student, _, _ = published(network, batches, {**WEIGHTS, name: 0.0}, 0.999)
    assert all(one.keys() == {"loss", *(f"loss_{other}" for other in WEIGHTS if other != name)} for one in logged)
    assert same(task.model, student)


def test_the_region_says_where_student_and_teacher_are_compared(tmp_path):
    batch, found = pseudo_labelled(0, ignored=0.0), {}
    for region in ("ignored", "confident", "all"):
        _, logged = trained(SelfTraining, SmallNetwork(), [batch], tmp_path / region, region=region)
        found[region] = logged[0]["loss_consistency"]
    assert found["ignored"] == 0
    assert found["confident"] == found["all"] > 0


def test_batches_without_a_labelled_or_an_ignored_pixel_are_learnt_from(tmp_path):
    network, batches = SmallNetwork(), [pseudo_labelled(0, ignored=0.0), pseudo_labelled(1, ignored=1.0)]
    task, logged = trained(SelfTraining, network, batches, tmp_path)
    assert (logged[0]["loss_entropy"], logged[0]["loss_consistency"]) == (0, 0)
    assert (logged[1]["loss_pseudo"], logged[1]["loss_kld"]) == (0, 0)
    assert all(values.isfinite().all() for values in task.model.state_dict().values())


def test_a_batch_of_damaged_files_only_teaches_nothing(tmp_path):
    network, batches = SmallNetwork(), [without("unlabelled", pseudo_labelled(0))] * STEPS
    task = untaught(SelfTraining, network, batches, tmp_path, optimizer=UNSWAYED)
    assert moved(task.model, network) == moved(task.teacher.module, network) == set()
    assert task.faults.messages == ["a.png: cannot be decoded"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"region": "there"}, "task.region=there; expected all, ignored, confident"),
        ({"decay": 1.5}, "decay=1.5; expected a number from 0 to 1"),
        ({"kld_weight": -1}, "task.kld_weight=-1; expected a number of at least 0"),
        (
            dict.fromkeys((f"{name}_weight" for name in WEIGHTS), 0),
            "pseudo_weight, .*_weight are 0; expected one above",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_step(tmp_path, given, message):
    with pytest.raises(ConfigError, match=message):
        trained(SelfTraining, SmallNetwork(), [], tmp_path, **given)


def test_a_round_of_the_source_alone_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"looks at the part unlabelled, and data\.parts=\[source\]"):
        trained(SelfTraining, SmallNetwork(), [{"source": part_of(0)}], tmp_path)
