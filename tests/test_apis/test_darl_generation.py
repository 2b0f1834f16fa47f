"""What a notebook calls, with DARL: generate, inpaint, reconstruct, extract_features."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_darl_generation import NUM_POSITIONS, SIDE, any_order, build, diffusion, mse, of_tokens

from mmaddp.apis import extract_features, generate, inpaint, load_pretrainer, reconstruct
from mmaddp.utils import UserError

STEPS = dict(steps=3)


@pytest.fixture(scope='module')
def model():
    return build(diffusion(), spread=0.05)


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def five(model):
    return generate(model, 5, **STEPS)


def same(ours, others):
    """Equal up to the rounding to 8 bits; another seed changes far more."""
    return np.abs(ours.astype(int) - others.astype(int)).max() <= 1


def below(rows):
    """A mask of all but the first rows of pixels."""
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[rows:] = True
    return mask


@pytest.mark.parametrize('batch_size', [1, 2, 3])
def test_batches_change_no_image(model, five, batch_size):
    assert same(generate(model, 5, batch_size=batch_size, **STEPS), five)


def test_images_are_a_function_of_their_index(model, five):
    assert same(generate(model, 2, first=3, **STEPS), five[3:])
    assert not same(five[0], five[1])
    assert not same(generate(model, 5, seed=1, **STEPS), five)


def test_generation_leaves_the_mode_and_the_random_state(model):
    model.train()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    generate(model, 1, **STEPS)
    assert torch.equal(torch.rand(1), expected)
    assert model.backbone.training
    model.eval()


def test_views_are_the_image_after_each_row(model):
    images, views = generate(model, 2, record=True, **STEPS)
    assert views.shape == (2, 4, 1, SIDE, SIDE, 3)
    assert np.array_equal(views[:, -1, 0], images)
    for row in range(4):
        done = 4 * (row + 1)
        assert np.array_equal(views[:, row, 0, :done], images[:, :done])
        assert (views[:, row, 0, done:] == 128).all()


@pytest.mark.parametrize('keep_pixels', [False, True])
def test_completion_continues_the_top_half(model, images, keep_pixels):
    options = dict(keep_pixels=keep_pixels, **STEPS)
    done = inpaint(model, images, below(8), **options)
    other = inpaint(model, images, below(8), seed=1, **options)
    for each in (done, other):
        assert np.array_equal(each[:, :8], images[:, :8])
    assert not same(done[:, 8:], other[:, 8:])
    assert not same(done[:, 8:], images[:, 8:])


def test_pixels_are_kept_inside_of_a_patch(model, images):
    """The mask begins in the middle of a row of patches, which is generated as a whole."""
    done = inpaint(model, images, below(10), keep_pixels=True, **STEPS)
    assert np.array_equal(done[:, :10], images[:, :10])
    assert same(done[:, 10:], inpaint(model, images, below(8), **STEPS)[:, 10:])


def test_a_completion_sees_what_is_given(model, images):
    other = images.copy()
    other[:, :4] = 255 - other[:, :4]
    one, two = (inpaint(model, each, below(8), **STEPS) for each in (images, other))
    assert not same(one[:, 8:], two[:, 8:])


def test_what_is_masked_is_not_looked_at(model, images):
    other = images.copy()
    other[:, 8:] = 255 - other[:, 8:]
    one, two = (inpaint(model, each, below(8), **STEPS) for each in (images, other))
    assert np.array_equal(one, two)


def test_each_image_may_have_its_own_mask(model, images):
    both = inpaint(model, images, [below(8), below(4)], **STEPS)
    assert same(both[:1], inpaint(model, images[0], below(8), **STEPS))


def test_a_model_of_random_orders_completes_any_region(images):
    model = build(any_order(), spread=0.05)
    masks = np.random.default_rng(1).random((2, 4, 4)) < 0.5
    done = inpaint(model, images, list(masks), **STEPS)
    pixels = masks.repeat(4, 1).repeat(4, 2)
    assert np.array_equal(done[~pixels], images[~pixels])
    assert not same(done, inpaint(model, images, list(masks), seed=1, **STEPS))


def test_mse_predicts_one_image_only(images):
    model = build(mse(), spread=0.05)
    assert same(generate(model, 1), generate(model, 1, seed=1))
    done = inpaint(model, images, below(8))
    assert not same(done[0, 8:], done[1, 8:])


def test_reconstruction_is_teacher_forced(images):
    """Each patch of MSE's is what the completion from there on begins with."""
    model = build(mse(), spread=0.05)
    rebuilt = reconstruct(model, images, batch_size=1)
    for place in (0, 5, 15):
        rows, columns = place // 4, place % 4
        mask = np.arange(NUM_POSITIONS).reshape(4, 4) >= place
        done = inpaint(model, images, mask)
        area = np.s_[:, 4 * rows : 4 * rows + 4, 4 * columns : 4 * columns + 4]
        assert same(rebuilt[area], done[area])


def test_reconstruction_by_diffusion(model, images):
    """The decoder sees noise of its own for each image, whatever batch it is in."""
    rebuilt = reconstruct(model, images)
    assert same(reconstruct(model, images, batch_size=1), rebuilt)
    assert rebuilt.shape == images.shape
    assert not same(reconstruct(model, images, seed=1), rebuilt)


def test_tokens_are_generated_and_decoded():
    model = build(of_tokens())
    images = generate(model, 3, temperature=2.0)
    assert images.shape == (3, 64, 64, 3)
    assert not same(images[0], images[1])
    greedy = generate(model, 2, temperature=0.0)
    assert np.array_equal(greedy[0], greedy[1])
    assert reconstruct(model, images).shape == images.shape
    done = inpaint(model, images, np.zeros((64, 64), dtype=bool))
    with torch.no_grad():
        batch = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
        tokenizer = model.tokenizer
        decoded = tokenizer.decode(tokenizer.embed(tokenizer.encode(batch))).clamp(0, 1)
    assert same(done, (decoded * 255).round().byte().permute(0, 2, 3, 1).numpy())


def test_features_are_those_of_the_backbone(model, images):
    (maps,) = extract_features(model, images)
    (others,) = extract_features(model.backbone, images, batch_size=1)
    assert maps.shape == (2, 32, 4, 4)
    assert torch.allclose(maps, others, atol=1e-5)


def test_other_sizes_are_reconstructed(model, images):
    wide = np.concatenate([images, images], axis=2)
    assert reconstruct(model, wide).shape == wide.shape


def of_normalized():
    return build(diffusion(target='normalized-pixels'))


def half_of_tokens():
    sizes = dict(img_size=64, patch_size=16)
    tokenizer = of_tokens()['tokenizer']
    return build(mse(backbone=sizes, target='tokens', tokenizer=tokenizer))


@pytest.mark.parametrize(
    ('make', 'call', 'message'),
    [
        (None, lambda m, x: generate(m, 0), 'num_images=0'),
        (None, lambda m, x: generate(m, 1, steps=0), 'steps=0: must be 1 or more'),
        (None, lambda m, x: generate(m, 1, eta=2.0), 'eta=2.0: must be in [0, 1]'),
        (
            None,
            lambda m, x: generate(m, 1, top_p=0.5),
            'top_p: PatchSampler has the settings steps, eta, clip',
        ),
        (None, lambda m, x: inpaint(m, x, ~below(8)), 'keeps patches that come after'),
        (None, lambda m, x: inpaint(m, x[:, :8], below(8)), '8 x 16 pixels, the model takes'),
        (None, lambda m, x: inpaint(m, x, np.ones((5, 5), bool)), '5 x 5, but images have 16 x 16'),
        (None, lambda m, x: reconstruct(m, x[:, :10]), 'multiples of 4'),
        (
            lambda: build(mse()),
            lambda m, x: generate(m, 1, steps=3),
            'steps: MeanSampler has the settings (none)',
        ),
        (
            lambda: build(diffusion(prediction='epsilon')),
            lambda m, x: reconstruct(m, x),
            "prediction='epsilon': one pass from pure noise",
        ),
        (of_normalized, lambda m, x: generate(m, 1), "target='normalized-pixels' with inputs"),
        (of_normalized, lambda m, x: reconstruct(m, x), 'cannot be read as inputs'),
        (half_of_tokens, lambda m, x: generate(m, 1), "target='tokens' with inputs='pixels'"),
        (lambda: build(of_tokens()), lambda m, x: extract_features(m, x), 'reads VQ tokens'),
    ],
)
def test_bad_input_is_told_in_one_line(model, images, make, call, message):
    with pytest.raises(UserError) as raised:
        call(make() if make else model, images)
    assert message in str(raised.value)
    assert '\n' not in str(raised.value)


def test_another_model(images):
    with pytest.raises(AttributeError, match='sampler'):
        generate(torch.nn.Linear(1, 1), 1)


def config(settings):
    return Config(dict(default_scope='mmaddp', model=settings))


def test_a_checkpoint_of_its_training(model, five, tmp_path):
    state = dict(meta=dict(epoch=1), state_dict=model.state_dict())
    torch.save(state, tmp_path / 'epoch_1.pth')
    config(diffusion()).dump(tmp_path / 'config.py')
    loaded = load_pretrainer(tmp_path / 'config.py', tmp_path / 'epoch_1.pth', 'cpu')
    assert not loaded.training
    assert np.array_equal(generate(loaded, 5, **STEPS), five)


def test_a_frozen_tokenizer_of_its_own(tmp_path):
    """A training checkpoint has no tokenizer; the config's init_cfg fills it."""
    model = build(of_tokens())
    tokenizer = dict(of_tokens()['tokenizer'])
    torch.save(model.state_dict(), tmp_path / 'epoch_1.pth')
    assert load_pretrainer(config(of_tokens()), tmp_path / 'epoch_1.pth', 'cpu').tokenizer.is_init
    tokenizer.pop('init_cfg')
    unfilled = {**of_tokens(), 'tokenizer': tokenizer}
    with pytest.raises(UserError, match=r'tokenizer: set model.tokenizer.init_cfg'):
        load_pretrainer(config(unfilled), tmp_path / 'epoch_1.pth', 'cpu')


def test_checkpoints_that_do_not_fit(model, tmp_path):
    backbone = {k: v for k, v in model.state_dict().items() if k.startswith('backbone.')}
    torch.save(backbone, tmp_path / 'backbone.pth')
    with pytest.raises(UserError, match=r'backbone.pth: has no backbone.\* and patch_decod'):
        load_pretrainer(config(diffusion()), tmp_path / 'backbone.pth', 'cpu')
    torch.save(model.state_dict(), tmp_path / 'model.pth')
    larger = diffusion(dict(arch=dict(embed_dims=64, num_layers=2, num_heads=2)))
    with pytest.raises(UserError, match=r'model.pth: .*wrong shape: '):
        load_pretrainer(config(larger), tmp_path / 'model.pth', 'cpu')


def test_a_mask_of_a_file(model, images, tmp_path):
    Image.fromarray(below(8).astype(np.uint8) * 255).save(tmp_path / 'mask.png')
    done = inpaint(model, images, tmp_path / 'mask.png', **STEPS)
    assert same(done, inpaint(model, images, below(8), **STEPS))
