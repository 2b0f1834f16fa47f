"""Pre-training through the engine: resumed, accumulated, recomputed and in half precision."""

import signal

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from tiny_addp import addp, pretraining
from tiny_runs import in_child, last_checkpoint, run_training, seen, write_images

import mmaddp  # noqa: F401
from mmaddp.diffusion import masks_from_noise


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


def build(seed: int = 0, **settings) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = MODELS.build(addp(img_size=32, **settings))
    model.init_weights()
    return model


def fix_masks(model, images: int) -> None:
    """Have the next calls mask the places of one large batch, row after row."""
    noise = torch.rand(images, 4, generator=torch.Generator().manual_seed(1))
    rows = iter(noise)

    def sample_masks(batch, tokens, device):
        drawn = torch.stack([next(rows) for _ in range(batch)])
        return masks_from_noise(drawn, 2), masks_from_noise(drawn, 3)

    model.sample_masks = sample_masks


@pytest.mark.parametrize('by_epoch', [True, False])
def test_a_killed_pretraining_ends_with_the_same_bits(tmp_path, images, by_epoch):
    folders = [tmp_path / 'whole', tmp_path / 'resumed']
    assert in_child(run_training, pretraining(images, folders[0], by_epoch)) == 0
    killed = pretraining(images, folders[1], by_epoch, **{'custom_hooks.0.kill_at': 7})
    assert in_child(run_training, killed) == -signal.SIGKILL
    assert in_child(run_training, pretraining(images, folders[1], by_epoch), True) == 0
    whole, resumed = map(last_checkpoint, folders)
    for part in ('state_dict', 'optimizer'):
        torch.testing.assert_close(resumed[part], whole[part], rtol=0, atol=0)
    assert seen(folders[0]) == seen(folders[1])
    assert len(seen(folders[0])) == 12


def test_accumulated_gradients_are_those_of_the_large_batch():
    images = torch.rand(4, 3, 32, 32)
    ends = []
    for batch in (4, 2):
        model = build(encoder=dict(addp(img_size=32)['encoder'], drop_rate=0.0))
        fix_masks(model, images=4)
        wrapper = build_optim_wrapper(
            model,
            dict(
                optimizer=dict(type='SGD', lr=1.0, weight_decay=0.05),
                clip_grad=dict(max_norm=0.5),
                accumulative_counts=4 // batch,
                constructor='mmaddp.WeightDecayOptimWrapperConstructor',
                paramwise_cfg=dict(flat_decay_mult=0.0),
            ),
        )
        wrapper.initialize_count_status(model, 0, 4 // batch)
        for part in images.split(batch):
            wrapper.update_params(model.loss(part)['loss'])
        ends.append(model.state_dict())
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-5, atol=1e-6)
    start = build().state_dict()
    assert not torch.equal(ends[0]['decoder.embed.weight'], start['decoder.embed.weight'])


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    model.loss(torch.rand(2, 3, 32, 32))['loss'].backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def test_recomputed_activations_give_the_same_gradients():
    parts = addp(img_size=32)
    recomputed = {part: dict(parts[part], with_cp=True) for part in ('encoder', 'decoder')}
    plain, again = gradients(build()), gradients(build(**recomputed))
    # Dropout draws in front of the blocks, which draw nothing themselves.
    torch.testing.assert_close(again, plain, rtol=0, atol=0)


def test_bfloat16_gives_nearly_the_same_gradients():
    model = build()
    exact = gradients(model)
    model.zero_grad()
    with torch.autocast('cpu', torch.bfloat16):
        rounded = gradients(model)
    assert rounded.keys() == exact.keys()
    both = [torch.cat([g.flatten() for g in found.values()]) for found in (exact, rounded)]
    assert torch.nn.functional.cosine_similarity(*both, dim=0) > 0.99


@pytest.mark.parametrize('token_input', ['encoder+decoder', 'decoder', 'none'])
def test_every_trained_parameter_gets_a_gradient(token_input):
    """DistributedDataParallel would wait for one that does not."""
    model = build(token_input=token_input)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == gradients(model).keys()
    assert {name.split('.')[0] for name in trained} >= {'encoder', 'decoder'}
    assert not any(name.startswith(('tokenizer', 'token_predictor')) for name in trained)
