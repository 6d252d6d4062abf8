"""What most commands import; see `tests.starting`."""

import importlib

for name in (
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_instruct_pix2pix",
    "hydra.main",
    "lightning.pytorch",
    "rich.table",
    "segmentation_models_pytorch",
    "tensorboard",
    "torchmetrics",
    "zsda.adaptation.phases",
    "zsda.adaptation.progressive",
    "zsda.evaluation.scoring",
    "zsda.generation.task",
    "zsda.models.library",
):
    importlib.import_module(name)
