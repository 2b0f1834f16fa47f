"""A tokenizer from scratch: its gradients, its game, and its training."""

import signal

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from tiny_processes import in_processes
from tiny_runs import in_child, last_checkpoint, run_training, write_images
from tiny_scratch import adversarial_training, vqgan_trainer

from mmaddp.engine.optimizers import PartsOptimWrapperConstructor
from mmaddp.utils import UserError

UINT8_IMAGES = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in range(2)]
DATA = dict(inputs=UINT8_IMAGES, data_samples=[None, None])


def build(**settings):
    torch.manual_seed(0)
    model = MODELS.build(vqgan_trainer(**settings))
    model.init_weights()
    return model.train()


def wrappers(model, lr=1e-3):
    part = dict(optimizer=dict(type='Adam', lr=lr))
    return PartsOptimWrapperConstructor(dict(tokenizer=part, discriminator=part))(model)


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def changed(module, before):
    return {n for n, tensor in module.state_dict().items() if not torch.equal(tensor, before[n])}


@pytest.fixture
def at_iteration():
    """Sets the iteration that a runner would be at."""
    hub = MessageHub.get_current_instance()
    yield lambda iteration: hub.update_info('iter', iteration)
    hub.update_info('iter', 0)


def test_gradients_pass_the_quantization_as_if_it_were_not_there():
    tokenizer = build().tokenizer.double()
    output = tokenizer(torch.rand(2, 3, 32, 32, dtype=torch.double))
    output.features.retain_grad()
    (output.images**2).sum().backward()
    codes = output.codes.detach().requires_grad_()
    (tokenizer.decode(codes, (2, 2)) ** 2).sum().backward()
    torch.testing.assert_close(output.features.grad, codes.grad)


def test_without_quantization_the_codebook_waits_and_then_starts_on_features(at_iteration):
    model = build(quantize_from=5, adversarial=True)
    wrapper = wrappers(model)
    before = weights(model.tokenizer)
    at_iteration(4)
    logged = model.train_step(DATA, wrapper)
    assert logged['loss_codebook'] == logged['loss_commitment'] == 0
    assert 'codebook_perplexity' not in logged
    moved = changed(model.tokenizer, before)
    assert 'encoder.conv_in.weight' in moved
    assert 'quantize.embedding.weight' not in moved
    at_iteration(5)
    logged = model.train_step(DATA, wrapper)
    assert logged['loss_commitment'] > 0
    assert 'quantize.embedding.weight' in changed(model.tokenizer, before)


def test_a_new_tokenizer_passes_all_that_the_first_layer_sees():
    """No block that has an identity beside it changes anything yet."""
    tokenizer = build().tokenizer
    x = torch.rand(1, len(tokenizer.encoder.conv_in.weight), 8, 8)
    assert torch.equal(tokenizer.encoder.down[0](x), x)
    assert tokenizer.encoder(torch.rand(4, 3, 32, 32)).std() > 0.1


def test_the_codebook_learns_by_its_own_loss_alone():
    model = build()
    images = torch.rand(2, 3, 32, 32)
    losses = model.tokenizer_losses(images, model.tokenizer(images))
    assert set(losses) == {'loss_reconstruction', 'loss_codebook', 'loss_commitment'}
    codebook = model.tokenizer.codebook
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, codebook, allow_unused=True, retain_graph=True)
        assert (gradient is not None and gradient.any()) == (name == 'loss_codebook')


def test_training_lowers_the_loss_with_one_optimizer():
    model = build()
    optimizer = OptimWrapper(torch.optim.Adam(model.tokenizer.parameters(), lr=1e-3))
    torch.manual_seed(0)
    patches = torch.rand(2, 3, 2, 2)
    images = (255 * patches).byte().repeat_interleave(16, 2).repeat_interleave(16, 3)
    data = dict(inputs=list(images), data_samples=[None, None])
    losses = [model.train_step(data, optimizer)['loss_reconstruction'].item() for _ in range(80)]
    # What the one color that is nearest to all of them reaches.
    color = patches.mean((0, 2, 3), keepdim=True)
    floor = (patches - color).abs().mean() + (patches - color).square().mean()
    assert losses[-1] < 0.7 * floor


def test_the_codebook_does_not_collapse():
    """All 8 tokens are nearest to one code; the others come back once they have been dead."""
    model = build(codebook_usage=dict(trained=True, decay=0.5))
    model.tokenizer.codebook.data[1:] += 100
    optimizer = OptimWrapper(torch.optim.Adam(model.tokenizer.parameters(), lr=1e-3))
    logged = [model.train_step(DATA, optimizer) for _ in range(10)]
    assert logged[0]['codebook_perplexity'] == 1
    assert logged[-1]['codebook_perplexity'] > 2


def test_the_discriminator_waits_for_its_start(at_iteration):
    model = build(adversarial=True, adversarial_start=5)
    optimizers = wrappers(model)
    before = weights(model)
    at_iteration(4)
    assert 'loss_discriminator' not in model.train_step(DATA, optimizers)
    assert not any(n.startswith('discriminator.') for n in changed(model, before))
    at_iteration(5)
    logged = model.train_step(DATA, optimizers)
    assert logged['loss_discriminator'] > 0
    assert logged['adversarial_weight'] > 0
    expected = sum(v for n, v in logged.items() if n.startswith('loss_'))
    torch.testing.assert_close(logged['loss'], expected)
    assert changed(model, before) == set(before)


def test_each_player_learns_by_its_own_loss(at_iteration):
    model = build(adversarial=True)
    images = torch.rand(2, 3, 32, 32)
    output = model.tokenizer(images)
    model.tokenizer_losses(images, output)['loss_adversarial'].backward()
    assert all(p.grad is None for p in model.discriminator.parameters())
    assert all(p.requires_grad for p in model.discriminator.parameters())
    assert model.tokenizer.decoder.conv_out.weight.grad.any()
    model.tokenizer.zero_grad()
    model.discriminator_loss(images, output.images.detach()).backward()
    assert all(p.grad is not None for p in model.discriminator.parameters())
    assert all(p.grad is None for p in model.tokenizer.parameters())


def test_a_model_with_two_parts_wants_two_optimizers():
    model = build(adversarial=True)
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters()))
    with pytest.raises(UserError, match='PartsOptimWrapperConstructor'):
        model.train_step(DATA, optimizer)
    with pytest.raises(UserError, match='MMSeparateDistributedDataParallel'):
        model(torch.rand(1, 3, 32, 32), mode='loss')


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


def assert_same_end(one, other):
    one, other = last_checkpoint(one), last_checkpoint(other)
    for name, tensor in one['state_dict'].items():
        assert torch.equal(tensor, other['state_dict'][name]), name
    assert one['optimizer'].keys() == {'tokenizer', 'discriminator'}
    for part, optimizer in one['optimizer'].items():
        for number, state in optimizer['state'].items():
            for name, value in state.items():
                assert torch.equal(value, other['optimizer'][part]['state'][number][name])


def test_killed_and_resumed_it_ends_with_the_same_bits(tmp_path, images):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    assert in_child(run_training, adversarial_training(images, whole)) == 0
    config = adversarial_training(images, killed, **{'custom_hooks.0.kill_at': 7})
    assert in_child(run_training, config) == -signal.SIGKILL
    assert in_child(run_training, adversarial_training(images, killed), True) == 0
    assert_same_end(whole, killed)


def test_two_processes_train_resume_and_save_what_one_would_load(tmp_path, images):
    def config(name, length):
        settings = {'launcher': 'pytorch', 'train_cfg.max_iters': length}
        settings.update({'train_dataloader.batch_size': 2, 'param_scheduler.0.end': 12})
        return adversarial_training(images, tmp_path / name, **settings)

    assert in_processes(2, run_training, config('whole', 6)) == [0, 0]
    assert in_processes(2, run_training, config('parts', 3)) == [0, 0]
    assert in_processes(2, run_training, config('parts', 6), True) == [0, 0]
    assert_same_end(tmp_path / 'whole', tmp_path / 'parts')
    state = last_checkpoint(tmp_path / 'whole')['state_dict']
    build(adversarial=True).load_state_dict(state, strict=True)
