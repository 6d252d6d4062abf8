"""What a training would do, made of its config: all that is wrong with it, its phases, and what they take of disk and time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from zsda.core.config import build, build_machine, build_network, build_phase, check_fits, plain
from zsda.core.errors import Gathered
from zsda.core.files import check_writable
from zsda.core.listing import check_training_data
from zsda.core.plan import Part, Plan
from zsda.core.recording import Trained, training_record
from zsda.core.resources import located
from zsda.core.runs import RunFolder
from zsda.core.trained import check_weights

# By their names, as in a config: nothing here imports what stands above.
_PLAN_PHASES, _ENGINE = "zsda.adaptation.plan.plan_phases", "zsda.training.fit.Engine"
_CHECK_NEEDS, _CHECK_PHASES = "zsda.adaptation.phases.check_needs", "zsda.adaptation.phases.check_phases"
_TAKEN_PHASES = "zsda.adaptation.weights.taken_phases"


def plan_training(config: DictConfig) -> Plan:
    """Says what a training would do; starts and writes nothing.

    Args:
        config: of ``zsda.train``.

    Raises:
        ConfigError: a method that does not fit the data, or a machine that is not there.
    """
    check_fits(config)
    wrong, remarks = Gathered(), list[str]()
    run = RunFolder(Path(config.runs_root) / config.name)
    with wrong.gather():
        check_writable("runs_root", run.path)
    if config.model.get("weights") is not None:
        with wrong.gather():
            check_weights(located(config.model.weights))
    world = unrendered(config)
    listed = Gathered()
    if world is None:
        with listed.gather():
            check_training_data(config)
    else:
        remarks.append(world)
    if config.compile:
        remarks.append("compile=true: times are those without it")
    machine = build_machine(config)
    phases: dict[str, Any] = {}
    for name in map(str, config.method.phases):
        # Where the listing has found something, it has said so better than each phase would.
        with (listed if world is None and not listed.errors else Gathered()).gather():
            phases[name] = build_phase(config, name, machine.workers)
    whole = len(phases) == len(config.method.phases) and not listed.errors
    wrong.errors += listed.errors
    if whole:
        phases = _checked(config, phases, run, machine.precision, wrong)
    why = "cannot be planned, " + ("its images are not rendered yet" if world is not None else "see the faults")
    unknown = {name: _unknown(config, name, why) for name in map(str, config.method.phases)}
    engine = hydra.utils.get_class(_ENGINE)(
        trainer=machine.trainer, keep=config.keep, compile=config.compile, **config.checkpoint
    )
    model = build_network(config.model, pretrained=False)  # nothing is fetched
    plan = hydra.utils.get_method(_PLAN_PHASES)
    parts, passing = plan(
        phases,
        unknown,
        model,
        engine,
        run,
        config.machine.sync_batchnorm,
        Gathered() if listed.errors else wrong,  # it has told of these already
    )
    trainer = machine.trainer(logger=False, enable_checkpointing=False)
    timed = any(part.seconds is not None for part in parts if not part.done)
    measured = f"a few steps on {trainer.strategy.root_device}, precision {machine.precision}" if timed else ""
    faults = [str(error) for error in wrong.errors]
    return Plan(f"the training {config.name}", "phase", run.path, parts, measured, remarks, faults, passing)


def unrendered(config: DictConfig) -> str | None:
    """Says that the world of a config would be rendered first; None if it is there, or none that is rendered."""
    prepare = config.world.prepare
    if prepare is None or build(prepare, write=False):
        return None
    return f"world={config.world.name}: is rendered into {config.data_root} first; what is there then is not counted or timed"


def _checked(
    config: DictConfig, phases: Mapping[str, Any], run: RunFolder, precision: object, wrong: Gathered
) -> dict[str, Any]:
    """Gathers what is wrong with the phases together; returns them, with those that are taken from an earlier run."""
    found, taken = list(phases.values()), list[Any]()
    with wrong.gather():
        if config.start_run is not None:
            before = RunFolder(Path(config.runs_root) / str(config.start_run))
            taken = hydra.utils.get_method(_TAKEN_PHASES)(before, found)
            found[: len(taken)] = taken
        hydra.utils.get_method(_CHECK_NEEDS)(found)
        if any(run.phase(phase.name).begun for phase in found):
            # The folder would refuse other settings and other files.
            facts = hydra.utils.get_method(_CHECK_PHASES)(found)
            told = {key: value for key, value in vars(facts).items() if key != "shown"}
            names = [phase.name for phase in found]
            trained = Trained(names, precision, taken=names[: len(taken)], **told)
            run.claim(training_record(config, trained), {}, write=False)
    return {phase.name: phase for phase in found}


def _unknown(config: DictConfig, name: str, why: str) -> Part:
    """Says of a phase what the config alone tells."""
    said = plain(config.method.phases[name])
    data = said.get("data") or {}
    views = data.get("views") or data.get("parts") or ["unlabelled"]
    batch = data.get("batch_size", OmegaConf.select(config, "data.batch_size")) if "data" in said else None
    length = next((f"{said[unit]} {unit}" for unit in ("epochs", "steps") if said.get(unit)), "labels")
    return Part(name, " + ".join(map(str, views)), length, said.get("batch_size", batch), note=why)
