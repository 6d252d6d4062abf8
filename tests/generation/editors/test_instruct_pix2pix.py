from functools import partialmethod

import numpy as np
import pytest
import torch
from PIL import Image

from zsda.core.errors import ConfigError
from zsda.generation.editors.instruct_pix2pix import MOST, InstructPix2PixEditor, fitting


@pytest.fixture(scope="module")
def editor(pipeline_folder):
    return InstructPix2PixEditor(str(pipeline_folder), steps=3).to("cpu")


@pytest.fixture(scope="module")
def patches():
    ramp = torch.linspace(0, 1, 64).expand(3, 64, 64)
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    return (torch.stack([ramp, noise]) * 255).round().to(torch.uint8)


def edit(editor, patches, prompt="make it rain", seeds=(5, 6), text=20.0, image=2.0):
    return editor.edit(patches, prompt, list(seeds)[: len(patches)], text, image).images.int()


def differs(one, other):
    """Whether two edits differ visibly: by more than two grey levels on average."""
    return (one - other).abs().float().mean() > 2


def test_outputs_have_contrast_and_the_shape_of_the_input(editor, patches):
    edited, finite = editor.edit(patches, "make it rain", [5, 6], 20.0, 2.0)
    assert finite.tolist() == [True, True]
    assert edited.shape == patches.shape
    assert edited.dtype == torch.uint8
    assert edited.float().std() > 20
    assert ((edited == 0) | (edited == 255)).float().mean() < 0.3


def test_a_patch_is_edited_as_diffusers_edits_a_picture(editor, patches):
    pictures = editor._pipeline(
        prompt="make it rain",
        image=Image.fromarray(patches[1].permute(1, 2, 0).numpy()),
        num_inference_steps=3,
        guidance_scale=20.0,
        image_guidance_scale=2.0,
        generator=torch.Generator().manual_seed(6),
    ).images
    expected = torch.from_numpy(np.array(pictures[0])).permute(2, 0, 1).int()
    difference = (edit(editor, patches[1:], seeds=[6])[0] - expected).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 0.02  # without rounding it would be a half


@pytest.mark.parametrize(
    ("text", "image", "network_calls"), [(20.0, 2.0, 3), (2.0, 2.0, 2), (20.0, 1.0, 2), (1.0, 1.0, 1), (1.0, 2.0, 3)]
)
def test_what_has_no_weight_is_not_predicted_and_changes_nothing(
    editor, patches, monkeypatch, text, image, network_calls
):
    """Equal scales leave the prediction from the image alone without weight, an image scale of 1 that from nothing."""
    given, forward = [], editor._pipeline.unet.forward

    def counted(sample, *others, **more):
        given.append(len(sample))
        return forward(sample, *others, **more)

    monkeypatch.setattr(editor._pipeline.unet, "forward", counted)
    found = edit(editor, patches, text=text, image=image)
    assert given == [network_calls * 2] * 3
    # Nothing is without weight here, and the scales are all but the same.
    whole = edit(editor, patches, text=text + 1e-6, image=image + 2e-6)
    assert given[3:] == [6] * 3
    assert (found - whole).abs().max() <= 1


def test_only_the_steps_of_the_interval_are_guided(pipeline_folder, editor, patches, monkeypatch):
    def calls(interval):
        chosen = InstructPix2PixEditor(str(pipeline_folder), steps=4, guidance_interval=interval).to("cpu")
        given, forward = [], chosen._pipeline.unet.forward
        monkeypatch.setattr(
            chosen._pipeline.unet,
            "forward",
            lambda x, *words, **more: (given.append(len(x)), forward(x, *words, **more))[1],
        )
        return chosen, edit(chosen, patches), given

    guided, whole, given = calls((0, 1))
    assert given == [6] * 4
    assert "guidance_interval" not in guided.describe()
    early, first_half, given = calls([0.0, 0.5])
    assert given == [6, 6, 2, 2]
    assert early.describe()["guidance_interval"] == [0.0, 0.5]
    assert not torch.equal(first_half, whole)
    *_, given = calls([0.25, 0.75])
    assert given == [2, 6, 6, 2]
    _, never, _ = calls([0, 0])
    without = InstructPix2PixEditor(str(pipeline_folder), steps=4).to("cpu")
    assert torch.equal(never, edit(without, patches, text=1.0, image=1.0))


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "HeunDiscreteScheduler", "UniPCMultistepScheduler"])
def test_schedulers_of_any_order_edit_as_in_diffusers(pipeline_folder, patches, name):
    """Heun asks the network twice in a step."""
    chosen = InstructPix2PixEditor(str(pipeline_folder), scheduler=name, steps=4).to("cpu")
    found = edit(chosen, patches[1:], seeds=[6])
    expected = chosen._pipeline(
        prompt="make it rain",
        image=patches[1:].float() / 255,
        num_inference_steps=4,
        guidance_scale=20.0,
        image_guidance_scale=2.0,
        generator=torch.Generator().manual_seed(6),
        output_type="pt",
    ).images
    assert (found - (expected * 255).round().int()).abs().max() <= 1


def test_a_prompt_is_encoded_once(pipeline_folder, patches, monkeypatch):
    fresh = InstructPix2PixEditor(str(pipeline_folder), steps=1).to("cpu")
    encoded, forward = [], fresh._pipeline.text_encoder.forward
    monkeypatch.setattr(
        fresh._pipeline.text_encoder, "forward", lambda ids, **more: (encoded.append(ids), forward(ids, **more))[1]
    )
    for prompt in ("make it rain", "make it rain", "make it foggy"):
        edit(fresh, patches, prompt)
    assert [len(ids) for ids in encoded] == [1, 1, 1], "two prompts and the empty one"


def test_a_compiled_denoiser_edits_alike(pipeline_folder, editor, patches, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="eager"))
    compiled = InstructPix2PixEditor(str(pipeline_folder), steps=3, compile=True).to("cpu")
    assert (edit(compiled, patches) - edit(editor, patches)).abs().max() <= 1
    assert compiled._pipeline.unet._compiled_call_impl is not None
    assert compiled.describe() == editor.describe()


def test_as_many_patches_as_the_memory_holds(editor):
    assert editor.batch_size((64, 64)) == 8, "what a CPU is given"
    gigabyte = 10**9
    assert [fitting(free * gigabyte, 2 * gigabyte) for free in (1, 3, 6, 20, 50, 500)] == [1, 1, 2, 8, 16, MOST]


@pytest.mark.gpu
def test_a_gpu_edits_as_a_cpu_does(pipeline_folder, editor, patches):
    there = InstructPix2PixEditor(str(pipeline_folder), steps=3, precision="fp32").to("cuda")
    assert (edit(there, patches) - edit(editor, patches)).abs().max() <= 2
    size = there.batch_size((64, 64))
    assert size == MOST
    half = InstructPix2PixEditor(str(pipeline_folder), steps=3).to("cuda")
    assert half.describe()["precision"] == "fp16"
    assert torch.equal(edit(half, patches), edit(half, patches))


@pytest.mark.gpu
def test_a_gpu_without_memory_says_so(pipeline_folder, patches):
    there = InstructPix2PixEditor(str(pipeline_folder), steps=1).to("cuda")
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(ConfigError, match="no memory for 512 patches at once; choose a smaller batch_size="):
            edit(there, patches[:1].repeat(512, 1, 2, 2), seeds=range(512))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_patch_does_not_notice_its_neighbours(editor, patches):
    together = edit(editor, patches)
    alone = torch.cat([edit(editor, patches[:1], seeds=[5]), edit(editor, patches[1:], seeds=[6])])
    assert (together - alone).abs().max() <= 1
    other_neighbour = edit(editor, patches.flip(0), seeds=[6, 5]).flip(0)
    assert (together - other_neighbour).abs().max() <= 1


def test_equal_inputs_give_equal_bytes(editor, patches):
    assert torch.equal(edit(editor, patches), edit(editor, patches))


def test_everything_that_is_asked_for_matters(editor, patches):
    base = edit(editor, patches)
    assert differs(base, edit(editor, patches, prompt="Make it foggy"))
    assert differs(base, edit(editor, patches, seeds=(7, 8)))
    assert differs(base, edit(editor, patches, text=7.0))
    assert differs(base, edit(editor, patches, image=1.1))
    assert differs(base, edit(editor, patches.flip(0)))


def test_bytes_and_fractions_are_the_same_image(editor, patches):
    assert torch.equal(edit(editor, patches), edit(editor, patches.float() / 255))


def test_the_noise_of_every_step_comes_from_the_patch(editor, patches):
    """The scheduler is ancestral: after the start it draws noise at each step, which must not come from elsewhere."""
    torch.manual_seed(1)
    one = edit(editor, patches)
    torch.manual_seed(2)
    assert torch.equal(one, edit(editor, patches))


def test_the_scheduler_and_the_steps_can_be_chosen(pipeline_folder, editor, patches):
    other = InstructPix2PixEditor(str(pipeline_folder), scheduler="DDIMScheduler", steps=3)
    assert differs(edit(editor, patches), edit(other, patches))
    assert other.describe()["scheduler"]["name"] == "DDIMScheduler"
    assert other.describe()["scheduler"]["beta_end"] == 0.012


def test_bf16_makes_images_of_its_own_that_come_out_again(pipeline_folder, editor, patches):
    """Not compared with fp32: torch draws other noise in another precision, in some of its versions."""
    coarse = InstructPix2PixEditor(str(pipeline_folder), precision="bf16", steps=3)
    edited = edit(coarse, patches)
    assert edited.float().std() > 10
    assert torch.equal(edited, edit(coarse, patches))
    assert not torch.equal(edited, edit(editor, patches))
    assert coarse.describe()["precision"] == "bf16"


def test_an_autocast_around_it_changes_nothing(editor, patches):
    plain = edit(editor, patches)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(plain, edit(editor, patches))


def test_a_description_says_what_the_images_depend_on(editor, pipeline_folder):
    described = editor.describe()
    assert described["model"] == pipeline_folder.name
    assert len(described["digest"]) == 64
    assert (described["steps"], described["precision"]) == (3, "fp32")
    assert described["scheduler"]["name"] == "EulerAncestralDiscreteScheduler"
    assert set(described["versions"]) == {"zsda", "torch", "diffusers", "transformers"}


def test_patches_are_multiples_of_eight(editor):
    assert editor.multiple == 8


def test_wrong_options(pipeline_folder):
    with pytest.raises(ConfigError, match=r"editor.precision=fp64; expected auto, fast, fp16, bf16, fp32"):
        InstructPix2PixEditor(precision="fp64")
    with pytest.raises(ConfigError, match=r"editor.steps=0"):
        InstructPix2PixEditor(steps=0)
    with pytest.raises(ConfigError, match=r"editor.compile=1; expected true or false"):
        InstructPix2PixEditor(compile=1)
    for interval in ([0.5, 0.2], [0, 1.1], [0.5], 0.5, "all", ["a", "b"]):
        with pytest.raises(ConfigError, match=r"editor.guidance_interval=.*; expected begin and end"):
            InstructPix2PixEditor(guidance_interval=interval)
    with pytest.raises(ConfigError, match="fp16 is for GPUs; on a CPU expected fp32 or bf16"):
        InstructPix2PixEditor(str(pipeline_folder), precision="fp16").to("cpu")
    with pytest.raises(ConfigError, match=r"editor.scheduler=Euler; expected one of .*EulerAncestralDiscreteScheduler"):
        InstructPix2PixEditor(str(pipeline_folder), scheduler="Euler").to("cpu")
    with pytest.raises(ConfigError, match=r"editor.steps=2000; expected at most 1000"):
        InstructPix2PixEditor(str(pipeline_folder), steps=2000).to("cpu")


def test_a_prompt_that_would_be_cut_off_is_refused(editor, patches):
    with pytest.raises(ConfigError, match=r"domain.prompt has 102 tokens, .* reads 77"):
        edit(editor, patches, prompt="a" * 100)


def weights(editor):
    parts = (editor._pipeline.unet, editor._pipeline.vae, editor._pipeline.text_encoder)
    return [tensor for part in parts for tensor in part.state_dict().values()]


def unchanged(editor, before):
    """Whether all weights have the type and the bits that they had."""
    pairs = list(zip(weights(editor), before, strict=True))
    return all(now.dtype == then.dtype and torch.equal(now, then) for now, then in pairs)


def test_only_the_patch_that_is_not_finite_is_void(editor, patches):
    broken = patches.float() / 255
    broken[0, 1, 5, 5] = torch.nan
    edited, finite = editor.edit(broken, "make it rain", [5, 6], 20.0, 2.0)
    assert finite.tolist() == [False, True]
    assert edited.dtype == torch.uint8
    alone = editor.edit(patches[1:], "make it rain", [6], 20.0, 2.0).images
    assert (edited[1].int() - alone[0].int()).abs().max() <= 1


def test_infinite_values_are_seen_although_the_pipeline_clamps_them(pipeline_folder, patches, monkeypatch):
    editor = InstructPix2PixEditor(str(pipeline_folder), steps=2).to("cpu")
    decode = editor._pipeline.vae.decode

    def overflow(latents, return_dict):
        (decoded,) = decode(latents, return_dict=return_dict)
        decoded[1, :, :4] = torch.inf
        return (decoded,)

    monkeypatch.setattr(editor._pipeline.vae, "decode", overflow)
    assert editor.edit(patches, "make it rain", [5, 6], 20.0, 2.0).finite.tolist() == [True, False]


def test_what_overflows_in_half_precision_is_mended_in_full(pipeline_folder, patches):
    """The editor itself refuses fp16 on a CPU, as it is slow there; it calculates as on a GPU."""
    half = InstructPix2PixEditor(str(pipeline_folder), steps=2).to("cpu")
    with torch.no_grad():
        half._pipeline.vae.decoder.conv_in.weight.mul_(3e4)  # a norm follows, so only its range is another
    half._precision = "fp16"
    half._pipeline.to(dtype=torch.float16)
    before = [tensor.clone() for tensor in weights(half)]
    assert half.edit(patches, "make it rain", [5, 6], 20.0, 2.0).finite.tolist() == [False, False]
    edited, finite = half.edit(patches, "make it rain", [5, 6], 20.0, 2.0, precise=True)
    assert finite.all()
    assert edited.float().std() > 20
    assert unchanged(half, before)


def test_a_precise_edit_is_one_in_fp32(pipeline_folder, patches):
    coarse = InstructPix2PixEditor(str(pipeline_folder), precision="bf16", steps=2).to("cpu")
    before = [tensor.clone() for tensor in weights(coarse)]
    precise = coarse.edit(patches, "make it rain", [5, 6], 20.0, 2.0, precise=True).images
    assert unchanged(coarse, before)
    assert coarse.describe()["precision"] == "bf16"
    full = InstructPix2PixEditor(str(pipeline_folder), precision="fp32", steps=2).to("cpu")
    full._pipeline.to(dtype=torch.bfloat16).to(dtype=torch.float32)  # the weights that bf16 leaves
    assert torch.equal(precise, full.edit(patches, "make it rain", [5, 6], 20.0, 2.0).images)


@pytest.mark.parametrize(("precise", "way_out"), [(False, "choose a smaller batch_size="), (True, "give retries=0")])
def test_a_full_memory_is_named_and_leaves_the_precision(pipeline_folder, patches, precise, way_out, monkeypatch):
    coarse = InstructPix2PixEditor(str(pipeline_folder), precision="bf16", steps=2).to("cpu")
    before = [tensor.clone() for tensor in weights(coarse)]

    def fail(*args, **kwargs):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(coarse._pipeline.vae, "decode", fail)
    with pytest.raises(ConfigError, match=way_out):
        coarse.edit(patches, "make it rain", [5, 6], 20.0, 2.0, precise=precise)
    assert unchanged(coarse, before)
