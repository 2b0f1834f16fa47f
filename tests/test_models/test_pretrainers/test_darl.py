"""DARL's objectives are the paper's, and no patch knows anything of itself or of later ones."""

import numpy as np
import pytest
import torch
from tiny_darl import NOISE, TOKENIZER, random_images, tiny_darl
from torch.nn import functional as F

from mmaddp.diffusion.gaussian import epsilon_from_x0

LINEAR = dict(type='mmaddp.MLPPatchDecoder')
TRANSFORMER = dict(type='mmaddp.TransformerPatchDecoder')
TWO_STREAM = dict(two_stream=True)
# What sections 3 and 4 and appendix B compare, small.
OPTIONS = {
    'mse': dict(),
    'mse-mlp': dict(patch_decoder=dict(LINEAR, num_layers=2)),
    'normalized': dict(target='normalized-pixels'),
    'diffusion': dict(noise=NOISE),
    'epsilon': dict(noise=NOISE, prediction='epsilon'),
    'gamma': dict(noise=NOISE, patch_decoder=dict(TRANSFORMER, condition_on_gamma=True)),
    'two-blocks': dict(noise=NOISE, patch_decoder=dict(TRANSFORMER, num_layers=2)),
    'no-blocks': dict(noise=NOISE, patch_decoder=dict(TRANSFORMER, num_layers=0)),
    'noisy-mlp': dict(noise=NOISE, patch_decoder=dict(LINEAR, num_layers=1, noisy=True)),
    'noisy-normalized': dict(noise=NOISE, target='normalized-pixels'),
    'rope-1d': dict(backbone=dict(positions='rope-1d')),
    'sincos': dict(backbone=dict(positions='sincos')),
    'learnable': dict(backbone=dict(positions='learnable')),
    'none': dict(backbone=dict(positions='none')),
    'nested': dict(backbone=dict(order='nested-raster', block_size=2)),
    'round-robin': dict(backbone=dict(order='round-robin', block_size=2)),
    'two-stream': dict(backbone=TWO_STREAM),
    'random': dict(backbone=TWO_STREAM, random_order=True),
    'random-diffusion': dict(backbone=TWO_STREAM, random_order=True, noise=NOISE),
    'token-target': dict(tokenizer=TOKENIZER, target='tokens'),
    'token-input': dict(tokenizer=TOKENIZER, inputs='tokens'),
    'token-input-diffusion': dict(tokenizer=TOKENIZER, inputs='tokens', noise=NOISE),
    'tokens': dict(tokenizer=TOKENIZER, inputs='tokens', target='tokens'),
}
of_all_options = pytest.mark.parametrize('options', OPTIONS.values(), ids=OPTIONS)


@of_all_options
def test_a_step_of_training(options):
    """Everything that is to learn gets a gradient, which DistributedDataParallel insists on."""
    model = tiny_darl(**options).train()
    images = random_images(model)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    torch.manual_seed(0)
    loss = model(images, mode='loss')['loss']
    loss.backward()
    without = [
        name
        for name, one in model.named_parameters()
        if one.requires_grad and (one.grad is None or not one.grad.any())
    ]
    assert not without
    optimizer.step()
    torch.manual_seed(0)
    assert model(images, mode='loss')['loss'] < loss


@pytest.mark.parametrize('name', ['mse', 'diffusion', 'epsilon'])
def test_learns_a_batch_by_heart(name):
    model = tiny_darl(**OPTIONS[name]).train()
    images = random_images(model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(40):
        loss = model(images, mode='loss')['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


class TestLoss:
    def test_mse_is_the_mean_of_squares(self):
        """f(x_<t) - x_t, patch by patch in NumPy, from the pixels themselves."""
        model = tiny_darl()
        images = random_images(model)
        with torch.no_grad():
            z = model(images, mode='tensor')
            loss = model(images, mode='loss')['loss']
        head = model.patch_decoder.head
        weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
        squares = []
        for image, features in zip(images.numpy(), z.numpy()):
            for place in range(16):
                row, column = 4 * (place // 4), 4 * (place % 4)
                patch = image[:, row : row + 4, column : column + 4].transpose(1, 2, 0).ravel()
                squares.append((weight @ features[place] + bias - patch) ** 2)
        assert loss.item() == pytest.approx(np.mean(squares), rel=1e-5)

    @pytest.mark.parametrize('name', ['mse', 'normalized', 'diffusion', 'noisy-normalized'])
    def test_nothing_is_lost_by_the_truth(self, name, monkeypatch):
        model = tiny_darl(**OPTIONS[name])
        images = random_images(model)
        truth = model.clean_patches(images)
        monkeypatch.setattr(model, 'decode', lambda z, x_s, gamma: truth)
        assert model(images, mode='loss')['loss'] == 0

    def test_nothing_is_lost_by_the_true_noise(self, monkeypatch):
        model = tiny_darl(**OPTIONS['epsilon'])
        images = random_images(model)
        x_0 = model.clean_patches(images)
        monkeypatch.setattr(model, 'decode', lambda z, x_s, gamma: epsilon_from_x0(x_s, gamma, x_0))
        assert model(images, mode='loss')['loss'] < 1e-6

    def test_tokens_are_scored_by_cross_entropy(self, monkeypatch):
        model = tiny_darl(**OPTIONS['token-target'])
        images = random_images(model)
        ids = model.tokenize(images)
        monkeypatch.setattr(model, 'decode', lambda *args: 1e4 * F.one_hot(ids, 32).float())
        assert model(images, mode='loss')['loss'] == 0
        monkeypatch.setattr(model, 'decode', lambda *args: torch.zeros(2, 16, 32))
        assert model(images, mode='loss')['loss'].item() == pytest.approx(np.log(32))

    @pytest.mark.parametrize('name', ['two-stream', 'random'])
    def test_random_orders_are_sampled_anew(self, name):
        """Without noise nothing else is random."""
        model = tiny_darl(**OPTIONS[name])
        images = random_images(model)
        first, second = (model(images, mode='loss')['loss'] for _ in range(2))
        assert torch.equal(first, second) == (name == 'two-stream')

    def test_normalized_pixels_are_maes(self):
        heads = pytest.importorskip('mmpretrain.models')
        model = tiny_darl(**OPTIONS['normalized'])
        images = random_images(model)
        head = heads.MAEPretrainHead(dict(type='PixelReconstructionLoss', criterion='L2'), True, 4)
        expected = head.construct_target(images)
        torch.testing.assert_close(model.clean_patches(images), expected)


class TestNoise:
    def test_each_patch_has_its_own(self):
        model = tiny_darl(noise=NOISE)
        x_0 = model.clean_patches(random_images(model, batch=8))
        x_s, gamma, epsilon = model.corrupt(x_0)
        assert gamma.shape == (8, 16, 1)
        assert len(gamma.unique()) == 8 * 16
        assert epsilon.std().item() == pytest.approx(1, abs=0.05)
        torch.testing.assert_close(x_s, gamma**0.5 * x_0 + (1 - gamma) ** 0.5 * epsilon)

    def test_the_backbone_does_not_see_it(self, monkeypatch):
        model = tiny_darl(noise=NOISE)
        images, seen = random_images(model), []
        monkeypatch.setattr(model, 'decode', lambda z, x_s, gamma: seen.append(z) or x_s)
        for seed in range(2):
            torch.manual_seed(seed)
            model(images, mode='loss')
        assert torch.equal(*seen)
        with torch.no_grad():
            torch.testing.assert_close(seen[0], model(images, mode='tensor'))

    @pytest.mark.parametrize('name', ['diffusion', 'epsilon'])
    def test_denoising_gives_the_clean_patch(self, name, monkeypatch):
        model = tiny_darl(**OPTIONS[name])
        x_0 = model.clean_patches(random_images(model))
        x_s, gamma, epsilon = model.corrupt(x_0)
        truth = epsilon if name == 'epsilon' else x_0
        monkeypatch.setattr(model, 'decode', lambda *args: truth)
        z = torch.zeros(2, 16, 16)
        # Where gamma is small little of x_0 is left in float32.
        clear = gamma[..., 0] > 0.01
        torch.testing.assert_close(
            model.denoise(z, x_s, gamma)[clear], x_0[clear], atol=1e-4, rtol=1e-4
        )

    def test_runs_seeded_alike_are_alike(self):
        model = tiny_darl(noise=NOISE)
        images = random_images(model)
        torch.manual_seed(3)
        first = model(images, mode='loss')['loss']
        torch.manual_seed(3)
        assert torch.equal(model(images, mode='loss')['loss'], first)
        assert not torch.equal(model(images, mode='loss')['loss'], first)

    def test_mathematics_stays_in_float32_under_autocast(self):
        model = tiny_darl(noise=NOISE)
        images = random_images(model)
        with torch.autocast('cpu', torch.bfloat16):
            x_s, gamma, _ = model.corrupt(model.clean_patches(images))
            loss = model(images, mode='loss')['loss']
        assert {x_s.dtype, gamma.dtype, loss.dtype} == {torch.float32}


class TestCausality:
    """Patches of the order: a change of one is seen by what is predicted behind it, alone."""

    def changed(self, model, index, order=None):
        """Places (N,) whose prediction differs when patch ``index`` does."""
        images = random_images(model)
        patches = model.patchify(images)
        patches[:, index] += 1
        other = model.unpatchify(patches, model.backbone.grid)
        with torch.no_grad():
            first, second = (model.encode(*model.embed(one), order) for one in (images, other))
        return (first - second).abs().amax((0, 2)) > 1e-6

    @pytest.mark.parametrize('name', ['mse', 'sincos', 'nested', 'round-robin', 'two-stream'])
    def test_of_the_own_order(self, name):
        model = tiny_darl(**OPTIONS[name])
        order = model.backbone.sequence_order(model.backbone.grid).tolist()
        for place, index in enumerate(order):
            behind = self.changed(model, index)[order].tolist()
            assert behind == [False] * (place + 1) + [True] * (15 - place)

    def test_of_an_order_for_each_image(self):
        model = tiny_darl(**OPTIONS['random'])
        orders = model.sample_order(torch.zeros(2, 16, 1))
        assert not torch.equal(*orders)
        assert torch.equal(orders.sort(1).values, torch.arange(16).expand(2, -1))
        images = random_images(model)
        for index in (0, 7):
            patches = model.patchify(images)
            patches[:, index] += 1
            other = model.unpatchify(patches, (4, 4))
            with torch.no_grad():
                z = [model.encode(*model.embed(one), orders) for one in (images, other)]
            differs = (z[0] - z[1]).abs().amax(2) > 1e-6
            for order, one in zip(orders.tolist(), differs):
                place = order.index(index)
                expected = [False] * (place + 1) + [True] * (15 - place)
                assert one[order].tolist() == expected

    def test_the_corrupted_patch_is_of_the_same_position(self):
        """Noise of patch k changes what is made of patch k, and nothing else."""
        model = tiny_darl(noise=NOISE)
        images = random_images(model)
        x_s, gamma, _ = model.corrupt(model.clean_patches(images))
        other = x_s.clone()
        other[:, 5] += 1
        with torch.no_grad():
            z = model(images, mode='tensor')
            differs = (model.denoise(z, x_s, gamma) != model.denoise(z, other, gamma)).any(-1)
        assert differs[:, 5].all()
        assert differs.sum() == 2


class TestTokens:
    def test_the_tokenizer_sees_images_in_the_unit_range(self):
        model = tiny_darl(**OPTIONS['token-target'])
        images = random_images(model)
        pixels = images * model.std + model.mean
        assert 0 <= pixels.min() < 0.01 < 0.99 < pixels.max() <= 1 + 1e-6
        assert torch.equal(model.tokenize(images), model.tokenizer.encode(pixels))

    def test_the_tokenizer_is_frozen_and_no_part_of_the_file(self):
        model = tiny_darl(**OPTIONS['token-target']).train()
        assert not any('tokenizer' in name for name in model.state_dict())
        assert not model.tokenizer.training
        before = {name: one.clone() for name, one in model.tokenizer.state_dict().items()}
        model(random_images(model), mode='loss')['loss'].backward()
        assert all(one.grad is None for one in model.tokenizer.parameters())
        for name, tensor in model.tokenizer.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    def test_a_file_is_what_trains(self):
        names = {name.split('.')[0] for name in tiny_darl(noise=NOISE).state_dict()}
        assert names == {'backbone', 'patch_decoder'}

    def test_inputs_are_looked_up(self):
        model = tiny_darl(**OPTIONS['token-input'])
        images = random_images(model)
        tokens, grid = model.embed(images)
        assert grid == (4, 4)
        assert torch.equal(tokens, model.token_embed.weight[model.tokenize(images)])


class TestPatches:
    """What generation asks of the model."""

    @pytest.mark.parametrize('name', ['mse', 'tokens'])
    def test_single_values_embed_as_images_do(self, name):
        model = tiny_darl(**OPTIONS[name])
        images = random_images(model)
        values = model.tokenize(images) if name == 'tokens' else model.patchify(images)
        torch.testing.assert_close(model.embed_values(values), model.embed(images)[0])

    def test_range_of_pixels(self):
        model = tiny_darl()
        for image, expected in zip(model.pixel_range(), (torch.zeros, torch.ones)):
            patches = image.expand(1, 16, -1)
            pixels = model.to_unit_range(model.unpatchify(patches, (4, 4)))
            torch.testing.assert_close(pixels, expected(1, 3, 16, 16))

    @pytest.mark.parametrize('name', ['mse', 'normalized'])
    def test_images_of_the_truth_are_the_images(self, name):
        model = tiny_darl(**OPTIONS[name])
        images = random_images(model)
        restored = model.to_images(model.clean_patches(images), images)
        torch.testing.assert_close(restored, images * model.std + model.mean)

    def test_other_sizes_than_the_models(self):
        model = tiny_darl(noise=NOISE)
        images = torch.randn(1, 3, 8, 24)
        assert model(images, mode='tensor').shape == (1, 12, 16)
        assert model(images, mode='loss')['loss'].isfinite()
