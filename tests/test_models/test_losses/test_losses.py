"""Losses against closed forms and other libraries."""

import math

import pytest
import torch
from torch.nn import functional as F
from torchvision.models import vgg16

from mmaddp.models.losses import (
    PerceptualLoss,
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    masked_token_loss,
    quantization_losses,
    reconstruction_loss,
)


@pytest.mark.parametrize('error', [0.0, 0.5, -0.25])
def test_reconstruction_is_absolute_and_squared_error(error):
    images = torch.rand(2, 3, 8, 8)
    loss = reconstruction_loss(images + error, images)
    assert loss.item() == pytest.approx(abs(error) + error**2, rel=1e-5)


def test_codes_learn_by_the_codebook_loss_and_features_by_the_commitment_alone():
    features = torch.full((2, 3, 4), 3.0, requires_grad=True)
    codes = torch.full((2, 3, 4), 1.0, requires_grad=True)
    codebook, commitment = quantization_losses(features, codes, beta=0.25)
    assert codebook.item() == 4.0
    assert commitment.item() == 1.0
    codebook.backward(retain_graph=True)
    assert features.grad is None
    # d mean((c - f)^2) / dc of 24 elements, each 2 apart.
    torch.testing.assert_close(codes.grad, torch.full((2, 3, 4), -4 / 24))
    codes.grad = None
    commitment.backward()
    assert codes.grad is None
    torch.testing.assert_close(features.grad, torch.full((2, 3, 4), 0.25 * 4 / 24))


def test_hinge_losses():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx((0.25 + 0.625) / 2)
    assert hinge_discriminator_loss(torch.zeros(3), torch.zeros(3)).item() == 1.0
    assert hinge_generator_loss(fake).item() == pytest.approx(1.375)


def test_adaptive_weight_makes_both_gradients_equally_long():
    last_layer = torch.randn(5, requires_grad=True)
    direction = torch.randn(5)
    reconstruction, adversarial = 3 * last_layer.sum(), last_layer @ direction
    weight = adaptive_weight(reconstruction, adversarial, last_layer)
    assert not weight.requires_grad
    assert weight.item() == pytest.approx(3 * 5**0.5 / direction.norm().item(), rel=1e-3)
    # A discriminator without an opinion must not blow the weight up without end.
    assert adaptive_weight(1e9 * reconstruction, 0 * adversarial, last_layer).item() == 1e4


def test_masked_token_loss_of_an_ignorant_model_is_the_logarithm_of_the_codes():
    ids, mask = torch.randint(7, (2, 9)), torch.rand(2, 9) < 0.5
    assert masked_token_loss(torch.zeros(2, 9, 7), ids, mask).item() == pytest.approx(math.log(7))


def test_masked_token_loss_is_the_smoothed_cross_entropy_of_masked_positions():
    torch.manual_seed(0)
    logits = torch.randn(2, 9, 7, requires_grad=True)
    ids, mask = torch.randint(7, (2, 9)), torch.rand(2, 9) < 0.5
    loss = masked_token_loss(logits, ids, mask, label_smoothing=0.1)
    log_probs = logits.log_softmax(-1)
    chosen = log_probs.gather(-1, ids[..., None])[..., 0]
    positions = -(0.9 * chosen + 0.1 * log_probs.mean(-1))
    torch.testing.assert_close(loss, positions[mask].mean())
    loss.backward()
    assert not logits.grad[~mask].any()
    assert logits.grad[mask].abs().sum(-1).min() > 0


@pytest.fixture(scope='module')
def vgg(tmp_path_factory):
    """A VGG16 with random weights, and its file."""
    torch.manual_seed(0)
    with torch.device('meta'):
        network = vgg16()
    network.classifier = torch.nn.Identity()
    network = network.to_empty(device='cpu').eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp('vgg') / 'vgg16.pth'
    torch.save(network.state_dict(), path)
    return network, path


def test_perceptual_loss_compares_torchvisions_features(vgg):
    network, path = vgg
    loss = PerceptualLoss(str(path))
    images, decoded = torch.rand(2, 2, 3, 32, 32)
    decoded.requires_grad_()
    mean, std = (
        torch.tensor(v).view(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    expected, pair = 0.0, [(images - mean) / std, (decoded - mean) / std]
    for index, layer in enumerate(network.features[:30]):
        pair = [layer(x.clone()) for x in pair]
        if index in (3, 8, 15, 22, 29):
            one, other = (F.normalize(x, dim=1) for x in pair)
            expected = expected + (one - other).square().sum(1).mean()
    torch.testing.assert_close(loss(decoded, images), expected)
    assert loss(images, images).item() == 0
    loss(decoded, images).backward()
    assert decoded.grad.any()


def test_perceptual_weights_must_be_a_vgg16(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save({'features.0.weight': torch.zeros(64, 3, 5, 5)}, path)
    with pytest.raises(RuntimeError, match='in loading state_dict'):
        PerceptualLoss(str(path))
