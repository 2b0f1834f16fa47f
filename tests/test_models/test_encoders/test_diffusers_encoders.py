"""Networks of diffusers: maps are what the library's own modules give."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file
from tiny_diffusers import randomize

from mmaddp.apis import generate
from mmaddp.diffusion import FlowMatching, ImageNoise, scheduler_process
from mmaddp.models import DDAE, DDAEDiT, DiffusersUNet, Encoder
from mmaddp.utils import UserError

diffusers = pytest.importorskip(
    'diffusers', reason="needs the extra 'latents' (pip install diffusers)"
)

UNET = dict(
    sample_size=16,
    block_out_channels=(32, 64),
    down_block_types=('DownBlock2D', 'AttnDownBlock2D'),
    up_block_types=('AttnUpBlock2D', 'UpBlock2D'),
    layers_per_block=1,
    norm_num_groups=32,
)
CONDITIONAL = dict(
    sample_size=8,
    in_channels=4,
    out_channels=4,
    block_out_channels=(32, 64),
    down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'),
    up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'),
    layers_per_block=1,
    cross_attention_dim=24,
    attention_head_dim=8,
)
XL = dict(
    **CONDITIONAL,
    addition_embed_type='text_time',
    addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=6 * 8 + 16,
)
DIT = dict(
    num_attention_heads=2,
    attention_head_dim=16,
    num_layers=3,
    in_channels=4,
    out_channels=8,
    sample_size=8,
    patch_size=2,
    num_embeds_ada_norm=5,
)


def save(folder, kind, config):
    torch.manual_seed(0)
    network = getattr(diffusers, kind)(**config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network.save_pretrained(folder)
    return network.eval()


def save_vae(folder):
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32, 32),
        down_block_types=('DownEncoderBlock2D',) * 2,
        up_block_types=('UpDecoderBlock2D',) * 2,
        norm_num_groups=8,
        scaling_factor=0.5,
    )
    vae.save_pretrained(folder)
    return vae.eval()


def outputs_of(modules, run):
    """What modules give during a run, by hooks."""
    found = {}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda m, i, out, name=name: found.update(
                {name: out[0] if isinstance(out, tuple) else getattr(out, 'sample', out)}
            )
        )
    with torch.no_grad():
        run()
    return found


def check_gradients(encoder, images):
    encoder.train()
    sum(one.square().sum() for one in encoder(images)).backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert encoder.get_layer_depth(name)[0] < encoder.num_depths


def test_maps_of_a_unet_are_its_modules_outputs(tmp_path):
    network = save(tmp_path, 'UNet2DModel', UNET)
    encoder = Encoder(f'diffusers:{tmp_path}', time=30)
    encoder.init_weights()
    encoder.eval()
    assert encoder.layers == ['mid', 'out_1', 'out_2', 'out_3', 'out_4']
    images, padded = torch.randn(2, 3, 17, 22), torch.zeros(2, 3, 18, 22)
    padded[:, :, :17] = images
    modules = {
        'mid': network.mid_block,
        'out_1': network.up_blocks[0].attentions[0],
        'out_2': network.up_blocks[0].attentions[1],
        'out_3': network.up_blocks[1].resnets[0],
        'out_4': network.up_blocks[1].resnets[1],
    }
    expected = outputs_of(modules, lambda: network(padded, torch.tensor([30, 30])))
    with torch.no_grad():
        maps = encoder.forward_intermediates(images, time=30)
    for name, theirs in expected.items():
        ours = maps[name]
        cut = theirs[..., : ours.shape[2], : ours.shape[3]]
        torch.testing.assert_close(ours, cut, atol=1e-5, rtol=1e-5)
    # The same blocks as those of the class for this network alone.
    alone = DiffusersUNet(str(tmp_path))
    alone.init_weights()
    with torch.no_grad():
        theirs = alone.eval().forward_intermediates(images, time=30.0)
    for name in theirs:
        torch.testing.assert_close(maps[name], theirs[name], atol=1e-5, rtol=1e-5)
    check_gradients(encoder, images)


@pytest.mark.parametrize('config', [CONDITIONAL, XL], ids=['sd', 'sdxl'])
def test_maps_of_a_conditional_unet_are_those_of_the_given_prompt(tmp_path, config):
    network = save(tmp_path / 'unet', 'UNet2DConditionModel', config)
    (tmp_path / 'model_index.json').write_text('{}')
    prompt = dict(prompt_embeds=torch.randn(1, 5, 24), text_embeds=torch.randn(1, 16))
    torch.save(prompt, tmp_path / 'prompt.pt')
    encoder = Encoder(
        f'diffusers:{tmp_path}', time=10, arguments=dict(prompt=str(tmp_path / 'prompt.pt'))
    )
    encoder.init_weights()
    encoder.eval()
    latents = torch.randn(2, 4, 10, 12)
    added = {}
    if config is XL:
        ids = torch.tensor([10.0, 12, 0, 0, 10, 12]).expand(2, -1)
        added = dict(
            added_cond_kwargs=dict(text_embeds=prompt['text_embeds'].expand(2, -1), time_ids=ids)
        )
    expected = outputs_of(
        {'out_4': network.up_blocks[1].attentions[1], 'mid': network.mid_block},
        lambda: network(
            latents,
            torch.tensor([10, 10]),
            encoder_hidden_states=prompt['prompt_embeds'].expand(2, -1, -1),
            **added,
        ),
    )
    with torch.no_grad():
        maps = encoder.forward_intermediates(latents, ['mid', 'out_4'], 10)
    for name, theirs in expected.items():
        torch.testing.assert_close(maps[name], theirs, atol=1e-5, rtol=1e-5)
    # Without a text encoder the prompt is zeros, which the log says.
    plain = Encoder(f'diffusers:{tmp_path}', time=10)
    assert plain.library.prompt['prompt_embeds'].shape == (1, 77, 24)
    assert not plain.library.prompt['prompt_embeds'].any()
    check_gradients(plain, latents)


def test_maps_of_a_transformer_are_its_blocks(tmp_path):
    network = save(tmp_path, 'DiTTransformer2DModel', DIT)
    encoder = Encoder(f'diffusers:{tmp_path}', time=100)
    encoder.init_weights()
    encoder.eval()
    latents, padded = torch.randn(2, 4, 9, 12), torch.zeros(2, 4, 10, 12)
    padded[:, :, :9] = latents
    assert encoder.layers == ['block_1', 'block_2', 'block_3']
    found = {}
    tokens = network.pos_embed(padded)
    with torch.no_grad():
        for name, block in zip(encoder.layers, network.transformer_blocks):
            # The last class stands for none.
            tokens = block(
                tokens, timestep=torch.tensor([100, 100]), class_labels=torch.tensor([5, 5])
            )
            found[name] = tokens.transpose(1, 2).unflatten(2, (5, 6))
        maps = encoder.forward_intermediates(latents, time=100)
    for name, theirs in found.items():
        torch.testing.assert_close(maps[name], theirs, atol=1e-5, rtol=1e-5)
    check_gradients(encoder, latents)


TEXT = dict(
    vocab_size=3,
    hidden_size=12,
    intermediate_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    max_position_embeddings=7,
    projection_dim=16,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=1,
)


def save_text_encoder(pipeline, suffix, kind):
    """A text encoder with a tokenizer of one word, as pipelines have them."""
    transformers = pytest.importorskip('transformers')
    folder = pipeline / f'tokenizer{suffix}'
    folder.mkdir(parents=True)
    start, end = '<|startoftext|>', '<|endoftext|>'
    (folder / 'vocab.json').write_text(json.dumps({start: 0, end: 1, 'a</w>': 2}))
    (folder / 'merges.txt').write_text('#version: 0.2\n')
    marks = dict(bos_token=start, eos_token=end, pad_token=end, unk_token=end)
    (folder / 'tokenizer_config.json').write_text(json.dumps(dict(marks, model_max_length=7)))
    encoder = getattr(transformers, kind)(transformers.CLIPTextConfig(**TEXT)).eval()
    encoder.save_pretrained(pipeline / f'text_encoder{suffix}')
    return encoder


# Start and end; padding is by the end.
EMPTY = torch.tensor([[0, 1, 1, 1, 1, 1, 1]])


def test_an_empty_prompt_is_embedded_by_the_pipelines_text_encoder(tmp_path):
    save(tmp_path / 'unet', 'UNet2DConditionModel', dict(CONDITIONAL, cross_attention_dim=12))
    text_encoder = save_text_encoder(tmp_path, '', 'CLIPTextModel')
    with torch.no_grad():
        expected = text_encoder(EMPTY).last_hidden_state
    encoder = Encoder(f'diffusers:{tmp_path / "unet"}', time=10)
    torch.testing.assert_close(encoder.library.prompt['prompt_embeds'], expected)
    (tmp_path / 'tokenizer' / 'vocab.json').write_text('damaged')
    with pytest.raises(UserError, match='no text encoder can be read') as caught:
        Encoder(f'diffusers:{tmp_path / "unet"}', time=10)
    assert '\n' not in str(caught.value)


def test_sdxl_joins_two_text_encoders_or_takes_zeros_as_its_pipeline_says(tmp_path):
    save(tmp_path / 'unet', 'UNet2DConditionModel', XL)
    first = save_text_encoder(tmp_path, '', 'CLIPTextModel')
    second = save_text_encoder(tmp_path, '_2', 'CLIPTextModelWithProjection')
    index = tmp_path / 'model_index.json'
    index.write_text('{}')
    with torch.no_grad():
        one, other = (e(EMPTY, output_hidden_states=True) for e in (first, second))
    prompt = Encoder(f'diffusers:{tmp_path}', time=10).library.prompt
    # As StableDiffusionXLPipeline.encode_prompt: the last layer but one of both.
    joined = torch.cat([one.hidden_states[-2], other.hidden_states[-2]], dim=-1)
    torch.testing.assert_close(prompt['prompt_embeds'], joined)
    torch.testing.assert_close(prompt['text_embeds'], other.text_embeds)
    index.write_text('{"force_zeros_for_empty_prompt": true}')
    prompt = Encoder(f'diffusers:{tmp_path}', time=10).library.prompt
    assert not prompt['prompt_embeds'].any()
    assert not prompt['text_embeds'].any()


# Names of DiT's authors, which SiT and REPA have too, by those of DDAEDiT.
AUTHORS = {
    r'^patch_embed\.': 'x_embedder.',
    r'^condition\.time\.fc1\.': 't_embedder.mlp.0.',
    r'^condition\.time\.fc2\.': 't_embedder.mlp.2.',
    r'^condition\.label\.': 'y_embedder.embedding_table.',
    r'^head\.modulation\.': 'final_layer.adaLN_modulation.1.',
    r'^head\.proj\.': 'final_layer.linear.',
    r'^(blocks\.\d+)\.modulation\.': r'\1.adaLN_modulation.1.',
}


@pytest.fixture(scope='module')
def sit():
    """A SiT in the names of its authors, and DDAEDiT with its weights."""
    settings = dict(
        arch=dict(embed_dims=32, num_layers=3, num_heads=2),
        input_size=8,
        num_classes=5,
        learn_sigma=False,
    )
    network = randomize(DDAEDiT(**settings))
    state = {}
    for name, tensor in network.state_dict().items():
        for ours, theirs in AUTHORS.items():
            name = re.sub(ours, theirs, name)
        state[name] = tensor.contiguous()
    return settings, state, network


def test_a_folder_of_sit_runs_as_ddae_dit(tmp_path, sit):
    _, state, network = sit
    folder = tmp_path / 'transformer'
    folder.mkdir()
    (tmp_path / 'model_index.json').write_text('{}')
    config = dict(input_size=8, patch_size=2, hidden_size=32, depth=3, num_heads=2, num_classes=5)
    config |= dict(_class_name='SiTTransformer2DModel', learn_sigma=False, norm_type='ln')
    (folder / 'config.json').write_text(json.dumps(config))
    save_file(state, folder / 'diffusion_pytorch_model.safetensors')
    encoder = Encoder(f'diffusers:{tmp_path}', time=0.25)
    encoder.init_weights()
    latents = torch.randn(2, 4, 9, 12)
    with torch.no_grad():
        maps = encoder.eval().forward_intermediates(latents, time=0.25)
        expected = network.forward_intermediates(latents, time=0.25)
    assert list(maps) == ['block_1', 'block_2', 'block_3']
    for ours, theirs in zip(maps.values(), expected.values()):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    check_gradients(encoder, latents)
    # As a training saves it.
    held = {f'backbone.{name}': 2 * tensor for name, tensor in encoder.state_dict().items()}
    torch.save(dict(state_dict=held, meta={}), tmp_path / 'iter_1.pth')
    again = Encoder(f'diffusers:{tmp_path}', time=0.25)
    again.load(tmp_path / 'iter_1.pth')
    for name, tensor in again.state_dict().items():
        assert torch.equal(tensor, held[f'backbone.{name}'])


def test_repas_file_loads_without_its_projectors(tmp_path, sit):
    settings, state, network = sit
    repa = {**state, 'projectors.0.0.weight': torch.zeros(3, 3)}
    torch.save(dict(ema=repa, opt={}), tmp_path / 'repa.pt')
    encoder = Encoder('mmaddp:DDAEDiT', time=0.5, arguments=settings)
    encoder.load(tmp_path / 'repa.pt')
    for name, tensor in encoder.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])
    # Norms of queries and keys, an option of REPA, would change what the network computes.
    torch.save({**repa, 'blocks.0.attn.q_norm.weight': torch.ones(16)}, tmp_path / 'qk_norm.pt')
    with pytest.raises(UserError, match=r'blocks\.0\.attn\.q_norm\.weight'):
        encoder.load(tmp_path / 'qk_norm.pt')


def test_autoencoders_of_another_kind_are_refused(tmp_path):
    save(tmp_path / 'transformer', 'DiTTransformer2DModel', DIT)
    (tmp_path / 'model_index.json').write_text('{}')
    (tmp_path / 'vae').mkdir()
    for config, answer in (
        (dict(_class_name='AutoencoderDC'), 'holds AutoencoderDC; give one of AutoencoderKL'),
        (dict(_class_name='AutoencoderKL', shift_factor=0.1), 'AutoencoderKL with a shift_factor'),
    ):
        (tmp_path / 'vae' / 'config.json').write_text(json.dumps(config))
        with pytest.raises(UserError, match=answer):
            Encoder(f'diffusers:{tmp_path}', time=0)


def test_images_pass_through_the_pipelines_autoencoder(tmp_path):
    save(tmp_path / 'transformer', 'DiTTransformer2DModel', DIT)
    vae = save_vae(tmp_path / 'vae')
    (tmp_path / 'model_index.json').write_text('{}')
    encoder = Encoder(f'diffusers:{tmp_path}', time=0).eval()
    encoder.init_weights()
    images = torch.randn(1, 3, 16, 21)
    padded = torch.zeros(1, 3, 16, 22)
    padded[..., :21] = images
    with torch.no_grad():
        latents = vae.encode(padded).latent_dist.mode() * 0.5
        torch.testing.assert_close(encoder.network_input(images), latents)
        assert encoder(images)[0].shape == (1, 32, 4, 6)
    # Latents of 2 pixels, patches of 2 latents.
    assert encoder.stride('block_3') == 4
    assert not any('vae' in name or 'encoder' in name for name in encoder.state_dict())


@pytest.mark.parametrize(
    ('scheduler', 'variance'),
    [
        # None: 1 - alpha_bar of the library itself.
        (dict(_class_name='DDPMScheduler'), None),
        (
            dict(
                _class_name='PNDMScheduler',
                beta_schedule='scaled_linear',
                beta_start=0.00085,
                beta_end=0.012,
            ),
            None,
        ),
        (dict(_class_name='DDPMScheduler', beta_schedule='squaredcos_cap_v2'), None),
        # sigma = 0.5 at the middle of a straight path, 0.75 with a shift of 3.
        (dict(_class_name='FlowMatchEulerDiscreteScheduler'), 0.25),
        (dict(_class_name='FlowMatchEulerDiscreteScheduler', shift=3.0), 0.5625),
    ],
)
def test_the_noise_added_at_a_level_has_the_schedulers_variance(tmp_path, scheduler, variance):
    (tmp_path / 'scheduler').mkdir()
    (tmp_path / 'scheduler' / 'scheduler_config.json').write_text(json.dumps(scheduler))
    process = scheduler_process(str(tmp_path))
    if variance is None:
        theirs = diffusers.DDPMScheduler.from_config(scheduler)
        # Level 500 is the library's timestep 499.
        variance = 1 - theirs.alphas_cumprod[499].item()
        assert process.time(500) == 499
    torch.manual_seed(0)
    noise = torch.randn(200_000, 1, 1, 1)
    level = process.level(process.num_levels // 2)
    found = process.perturb(torch.zeros_like(noise), level, noise).var().item()
    assert found == pytest.approx(variance, rel=0.01)
    # Higher levels have more noise and less of the image.
    ends = [process.level(1), process.level(process.num_levels)]
    images = torch.ones(1, 1, 1, 1)
    kept = [process.perturb(images, end, torch.zeros_like(images)).item() for end in ends]
    assert kept[0] > 0.95
    assert kept[1] < 0.1


def save_scheduler(folder, **settings):
    (folder / 'scheduler_config.json').write_text(json.dumps(settings))
    return scheduler_process(str(folder))


@pytest.mark.parametrize('prediction', ['epsilon', 'v_prediction', 'sample'])
def test_predicted_images_are_those_of_the_scheduler(tmp_path, prediction):
    process = save_scheduler(tmp_path, prediction_type=prediction)
    theirs = diffusers.DDPMScheduler(prediction_type=prediction, clip_sample=False)
    torch.manual_seed(0)
    x_0, noise, output = torch.randn(3, 2, 3, 4, 4).unbind()
    # Level 700 is the library's timestep 699.
    levels, timesteps = torch.tensor([700, 20]), torch.tensor([699, 19])
    x_t = theirs.add_noise(x_0, noise, timesteps)
    denoised = process.denoise(lambda x, t: output, x_t, levels)
    for i, timestep in enumerate(timesteps):
        step = theirs.step(output[i], timestep, x_t[i])
        torch.testing.assert_close(denoised[i], step.pred_original_sample, atol=1e-4, rtol=1e-4)
    # What the library's training scripts regress.
    target = dict(
        epsilon=noise, sample=x_0, v_prediction=theirs.get_velocity(x_0, noise, timesteps)
    )[prediction]
    loss = process.loss(lambda x, t: output, x_0, levels, noise)
    torch.testing.assert_close(loss, (output - target).square().mean(), atol=1e-5, rtol=1e-5)


def test_a_backbone_of_any_prediction_names_the_process_of_its_inputs(tmp_path):
    names = [
        save_scheduler(tmp_path, prediction_type=prediction).identity
        for prediction in ('epsilon', 'v_prediction', 'sample')
    ]
    assert names[0] == names[1] == names[2]
    assert names[0]['type'] == 'mmaddp.DDPM'


def test_a_ddae_of_another_prediction_denoises_and_samples(tmp_path):
    network = save(tmp_path, 'UNet2DModel', UNET)
    save_scheduler(tmp_path, prediction_type='sample', num_train_timesteps=10)
    model = DDAE(
        network=dict(type='mmaddp.DiffusersUNet', folder=str(tmp_path)),
        process=dict(type='mmaddp.scheduler_process', folder=str(tmp_path)),
        img_size=16,
    ).eval()
    model.network.load(tmp_path)
    torch.manual_seed(0)
    x_t = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        # Level 4 is the library's timestep 3.
        expected = network(x_t, 3).sample
        torch.testing.assert_close(model.denoise(x_t, 4), expected, atol=1e-5, rtol=1e-5)
    assert generate(model, 1, sampler='ddim', steps=3).shape == (1, 16, 16, 3)


def test_unknown_predictions_are_refused(tmp_path):
    with pytest.raises(UserError, match="prediction_type='flow_prediction': set process") as caught:
        save_scheduler(tmp_path, prediction_type='flow_prediction')
    assert '\n' not in str(caught.value)


def test_time_runs_in_the_direction_of_each_code():
    diffusers_way = FlowMatching()
    assert diffusers_way.time(diffusers_way.level(250)) == pytest.approx(250)
    # REPA: t = 0 is the image, in [0, 1].
    repa = FlowMatching(time_scale=1.0)
    assert repa.time(repa.level(250)) == pytest.approx(0.25)
    # SiT's authors: t = 1 is the image.
    sit = FlowMatching(time_scale=1.0, data_time=1)
    assert sit.time(sit.level(250)) == pytest.approx(0.75)
    torch.manual_seed(0)
    x_0, noise = torch.randn(4, 1, 2, 2), torch.randn(4, 1, 2, 2)
    for process, velocity in ((repa, noise - x_0), (sit, x_0 - noise)):
        level = process.level(300)
        x_t = process.perturb(x_0, level, noise)
        denoised = process.denoise(lambda x, t, v=velocity: v, x_t, level)
        torch.testing.assert_close(denoised, x_0)
        assert process.loss(lambda x, t, v=velocity: v, x_0, level, noise) == 0
        assert process.number(level) == pytest.approx(300)
        assert process.level_at(float(process.time(level))) == pytest.approx(0.3)


def test_noised_features_are_those_of_the_noised_input(tmp_path):
    save(tmp_path, 'UNet2DModel', UNET)
    model = DDAE(
        network=dict(type='mmaddp.Encoder', model=f'diffusers:{tmp_path}'),
        process=dict(type='mmaddp.DDPM', time_input='index'),
    ).eval()
    model.network.init_weights()
    torch.manual_seed(0)
    images = torch.randn(2, 3, 16, 16)
    noise = ImageNoise(0, range(2)).normal(images)
    with torch.no_grad():
        found = model.forward_intermediates(images, ['out_2'], 61, noise)['out_2']
        alpha_bar = model.process.alpha_bars[61].item()
        noised = alpha_bar**0.5 * images + (1 - alpha_bar) ** 0.5 * noise
        # Timesteps count from 0.
        expected = model.network.forward_intermediates(noised, ['out_2'], 60)['out_2']
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_recomputed_activations_give_the_same_gradients(tmp_path):
    save(tmp_path, 'UNet2DModel', UNET)
    kept = Encoder(f'diffusers:{tmp_path}', time=5)
    recomputed = Encoder(f'diffusers:{tmp_path}', time=5, with_cp=True)
    images = torch.randn(1, 3, 16, 16)
    for encoder in (kept, recomputed):
        encoder.init_weights()
        encoder.train()
        sum(one.square().sum() for one in encoder(images)).backward()
    for ours, theirs in zip(recomputed.parameters(), kept.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-4, rtol=1e-4)


def test_bad_folders_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r'nowhere.*model_index\.json') as caught:
        Encoder('diffusers:nowhere')
    assert '\n' not in str(caught.value)
    save_vae(tmp_path)
    with pytest.raises(UserError, match=r'holds AutoencoderKL.*UNet2DModel') as caught:
        Encoder(f'diffusers:{tmp_path}')
    assert '\n' not in str(caught.value)
    with pytest.raises(UserError, match=r'scheduler_config\.json'):
        scheduler_process(str(tmp_path))


def test_missing_times_and_unknown_arguments_are_refused(tmp_path):
    save(tmp_path, 'UNet2DModel', UNET)
    with pytest.raises(UserError, match="'promt' is none of 'autoencoder', 'prompt'"):
        Encoder(f'diffusers:{tmp_path}', arguments=dict(promt='prompt.pt'))
    with pytest.raises(UserError, match='needs a time'):
        Encoder(f'diffusers:{tmp_path}')(torch.zeros(1, 3, 16, 16))
