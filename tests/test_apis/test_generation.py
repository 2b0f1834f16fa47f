"""What a notebook calls: generate, inpaint, reconstruct, extract_features."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_generation import tiny_generator

from mmaddp.apis import extract_features, generate, inpaint, reconstruct
from mmaddp.experiments.sampling import completion_start, read_masks
from mmaddp.models import DDAEUNet
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def model():
    return tiny_generator()


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)


def same(ours, others):
    """Equal up to the rounding to 8 bits; another token changes far more."""
    return np.abs(ours.astype(int) - others.astype(int)).max() <= 1


def half_mask(rows):
    mask = np.zeros((64, 64), dtype=bool)
    mask[:rows] = True
    return mask


@pytest.fixture(scope='module')
def five(model):
    return generate(model, 5, steps=4)


@pytest.mark.parametrize('batch_size', [1, 2, 3])
def test_batches_change_no_image(model, five, batch_size):
    assert same(generate(model, 5, steps=4, batch_size=batch_size), five)


def test_images_are_a_function_of_their_index(model, five):
    assert same(generate(model, 2, steps=4, first=3), five[3:])
    assert not same(five[0], five[1])
    assert not same(generate(model, 5, steps=4, seed=1), five)


def test_generation_leaves_the_mode_and_the_random_state(model):
    model.train()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    generate(model, 1, steps=2)
    assert torch.equal(torch.rand(1), expected)
    assert model.encoder.training
    assert not model.tokenizer.training
    model.eval()


def test_views_show_the_reliable_positions(model):
    images, views = generate(model, 2, steps=4, schedule='linear', record=True)
    assert views.shape == (2, 4, 2, 64, 64, 3)
    assert np.array_equal(views[:, -1, 0], images)
    assert np.array_equal(views[:, -1, 1], images)
    for step, left in enumerate((12, 8, 4)):
        whole, reliable = views[:, step, 0], views[:, step, 1]
        gray = (reliable == 128).all(-1)
        assert (reliable[~gray] == whole[~gray]).all()
        patches = gray.reshape(2, 4, 16, 4, 16).all((2, 4))
        assert patches.sum((1, 2)).tolist() == [left, left]


@pytest.mark.parametrize(
    'settings', [dict(time=-0.5, process=dict(type='mmaddp.EDM')), dict(time=0.1, reduction=2)]
)
def test_a_layer_by_name_is_the_encoders_own_output(images, settings):
    """With EDM's scaling of its input, and with smaller images."""
    torch.manual_seed(0)
    encoder = DDAEUNet(
        base_channels=32,
        channel_multipliers=(1, 2),
        num_blocks=1,
        attention_stages=(),
        out_blocks=['out_2'],
        **settings,
    ).eval()
    (expected,) = extract_features(encoder, images)
    (found,) = extract_features(encoder, images, layers=['out_2'])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)


def test_inpainting_nothing_is_the_reconstruction(model, images):
    nothing = np.zeros((64, 64), dtype=bool)
    rebuilt = reconstruct(model, images)
    assert same(inpaint(model, images, nothing), rebuilt)


def test_each_image_may_have_its_own_mask(model, images):
    both = inpaint(model, images, [half_mask(32), half_mask(16)], steps=4)
    alone = inpaint(model, images[0], half_mask(32), steps=4)
    assert same(both[:1], alone)


def test_given_pixels_come_back(model, images):
    mask = half_mask(20)
    done = inpaint(model, images, mask, steps=8, keep_pixels=True)
    assert np.array_equal(done[:, 20:], images[:, 20:])
    assert same(done[:, :20], inpaint(model, images, mask, steps=8)[:, :20])


def test_masks_of_files_pixels_and_tokens(model, images, tmp_path):
    pixels = np.zeros((64, 64), dtype=np.uint8)
    pixels[15, 32] = 255
    pixels[63, 63] = 127
    Image.fromarray(pixels).save(tmp_path / 'mask.png')
    tokens = np.zeros((4, 4), dtype=bool)
    tokens[0, 2] = True
    for mask in (pixels, tmp_path / 'mask.png', tokens):
        read = read_masks(mask, model, 1)
        start = completion_start(model, images[:1], read, batch_size=1)
        assert start.masked.tolist() == [tokens.flatten().tolist()]


def test_reconstruction_in_any_shape(model):
    image = np.full((32, 80, 3), 200, np.uint8)
    assert reconstruct(model, [image, image], batch_size=1).shape == (2, 32, 80, 3)


def test_features_of_a_model_and_of_its_encoder(model, images, tmp_path):
    paths = []
    for number, image in enumerate(images):
        paths.append(tmp_path / f'{number}.png')
        Image.fromarray(image).save(paths[-1])
    (maps,) = extract_features(model, paths, batch_size=1)
    (others,) = extract_features(model.encoder, images)
    assert maps.shape == (2, 16, 4, 4)
    assert torch.allclose(maps, others, atol=1e-5)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda m, x: generate(m, 0), 'num_images=0'),
        (lambda m, x: generate(m, 1, first=-1), 'first=-1'),
        (lambda m, x: generate(m, 1, steps=4, seed=-1), 'seed=-1'),
        (lambda m, x: generate(m, 1, steps=4, batch_size=0), 'batch_size=0'),
        (lambda m, x: generate(m, 1, steps=17), 'steps=17: must be in [1, 16]'),
        (lambda m, x: inpaint(m, x, half_mask(16), steps=5), 'steps=5: must be in [1, 4]'),
        (lambda m, x: inpaint(m, x, np.zeros((60, 64), bool)), '60 x 64, but images have 64 x 64'),
        (lambda m, x: inpaint(m, x[:, :48], half_mask(16)), '48 x 64 pixels, the model takes'),
        (lambda m, x: reconstruct(m, x[:, :60]), '60 x 64 pixels'),
        (lambda m, x: reconstruct(m, [x[0], x[1, :48]]), 'image 1: 48 x 64 pixels, the first'),
        (lambda m, x: reconstruct(m, x / 255), 'image of float64 (64, 64, 3): give uint8'),
        (lambda m, x: extract_features(m, x, level=3), 'noise level 3: ADDP has no noise levels'),
    ],
)
def test_bad_input_is_told_in_one_line(model, images, call, message):
    with pytest.raises(UserError) as raised:
        call(model, images)
    assert message in str(raised.value)
    assert '\n' not in str(raised.value)
