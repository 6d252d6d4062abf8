import torch
from torch import nn

from zsda.training.ema import Average


def network(value):
    made = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(made[0].weight, value)
    made[1].running_mean.fill_(value)
    return made


def test_parameters_follow_slowly_and_buffers_at_once():
    student = network(1.0)
    teacher = Average(student, decay=0.9)
    with torch.no_grad():
        student[0].weight.fill_(2.0)
        student[1].running_mean.fill_(2.0)
    teacher.follow(steps=1)
    assert torch.allclose(teacher.module[0].weight, torch.tensor(0.9 * 1 + 0.1 * 2))
    assert teacher.module[1].running_mean.item() == 2.0
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_after_a_late_start_the_first_step_is_copied():
    student = network(1.0)
    teacher = Average(student, decay=0.9, start=2)
    for step, (value, expected) in enumerate([(2.0, 1.0), (3.0, 1.0), (4.0, 4.0), (5.0, 4.1)], 1):
        nn.init.constant_(student[0].weight, value)
        teacher.follow(step)
        assert torch.allclose(teacher.module[0].weight, torch.tensor(expected))


def test_it_stays_in_evaluation_mode():
    task = nn.ModuleList([Average(network(1.0), decay=0.9)])
    task.train()
    assert not any(module.training for module in task[0].modules())
