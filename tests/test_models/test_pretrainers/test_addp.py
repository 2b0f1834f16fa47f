"""Algorithm 1, line by line."""

import numpy as np
import pytest
import torch
from tiny_addp import ARCH, SIZES, addp, random_ids, random_mask, tiny_addp
from torch.nn import functional as F

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def given_masks(model, masked=10, masked_next=13):
    """Have the model take masks that nest instead of drawing them."""
    order = torch.rand(2, 16, generator=torch.Generator().manual_seed(9)).argsort(1)
    masks = order < masked, order < masked_next
    model.sample_masks = lambda *_: masks
    return masks


def test_the_loss_of_a_step_with_given_masks_is_the_reference_s(shared, reference_layout):
    golden = np.load(shared / 'reference/golden/addp_tiny.npz')
    tiny = dict(embed_dims=64, num_layers=2, num_heads=4)
    config = dict(
        type='ADDP',
        encoder=dict(type='ADDPViT', arch=tiny),
        decoder=dict(type='ADDPDecoder', **tiny),
        tokenizer=dict(type='VQGAN', base_channels=32),
        token_predictor=dict(type='MAGE', encoder=tiny, decoder=tiny),
    )
    model = MODELS.build(config).eval()
    published = {'model': reference_layout('addp-tiny')}
    model.load_state_dict(convert_checkpoint(published, 'addp', 'pretrain'))
    masks = [torch.from_numpy(golden[name]) for name in ('mask_t', 'mask_t_next')]
    model.sample_masks = lambda *_: masks
    images = torch.from_numpy(golden['image_uint8'])
    data = model.data_preprocessor({'inputs': list(images.flip(1))}, training=True)
    with torch.no_grad():
        loss = model(**data, mode='loss')['loss']
    assert loss.item() == pytest.approx(float(golden['loss']), rel=1e-5)


def test_gradients_reach_encoder_and_decoder_only():
    model = tiny_addp().train()
    given_masks(model)
    model(IMAGES, mode='loss')['loss'].backward()
    with_gradient = {
        name for name, parameter in model.named_parameters() if parameter.grad is not None
    }
    trained = {n for n, _ in model.named_parameters() if n.startswith(('encoder.', 'decoder.'))}
    assert with_gradient == trained
    assert all(p.grad.abs().sum() > 0 for n, p in model.named_parameters() if n in trained)


def test_embeddings_of_tokens_can_start_from_the_codebook():
    model = MODELS.build(addp(code_embeddings=True))
    model.init_weights()
    rows = model.decoder.token_embed.weight.detach()[: model.tokenizer.num_embeddings]
    distances = torch.pdist(model.tokenizer.codebook), torch.pdist(rows)
    assert torch.corrcoef(torch.stack(distances))[0, 1] > 0.5


def test_unmasked_positions_give_no_loss():
    model = tiny_addp()
    mask = random_mask(6)
    logits = torch.randn(2, 16, 1033, requires_grad=True)
    target = torch.rand(2, 16, 32).softmax(-1)
    model.denoising_loss(logits, target, mask).backward()
    per_position = logits.grad.abs().sum(-1)
    assert torch.equal(per_position > 0, mask)


def test_the_loss_is_the_smoothed_cross_entropy():
    """Against the definition, in float64: 0.9 of the target and 0.1 over all V words."""
    model = tiny_addp()
    mask = random_mask(6)
    logits, target = torch.randn(2, 16, 1033), torch.rand(2, 16, 32).softmax(-1)
    smoothed = 0.9 * F.pad(target.double(), (0, 1001)) + 0.1 / 1033
    expected = -(smoothed * logits.double().log_softmax(-1)).sum(-1)[mask].mean()
    assert model.denoising_loss(logits, target, mask).item() == pytest.approx(expected.item())


@torch.no_grad()
def test_masked_positions_hide_the_features_and_tokens_there():
    model = tiny_addp()
    mask, ids, features = random_mask(6), random_ids(), torch.randn(2, 17, 16)
    expected = model.decode(features, ids, mask)
    other = torch.where(
        F.pad(mask, (1, 0), value=True)[..., None], torch.randn(2, 17, 16), features
    )
    others = torch.where(mask, random_ids(seed=7), ids)
    torch.testing.assert_close(model.decode(other, others, mask), expected)
    seen = torch.where(mask, ids, random_ids(seed=7))
    assert not torch.allclose(model.decode(features, seen, mask), expected)
    assert not torch.allclose(
        model.decode(features + (~F.pad(mask, (1, 0)))[..., None], ids, mask), expected
    )


@torch.no_grad()
@pytest.mark.parametrize('token_input', ['decoder', 'none'])
def test_what_is_not_wanted_is_not_scored(token_input):
    model = tiny_addp(token_input=token_input)
    torch.nn.init.normal_(model.decoder.head.bias)
    mask, ids, features = random_mask(6), random_ids(), torch.randn(2, 17, 16)
    every = model.decode(features, ids, mask)
    scored = model.decode(features, ids, mask, wanted=mask, num_entries=32)
    expected = every[..., :32].masked_fill(~mask[..., None], 0)
    torch.testing.assert_close(scored, expected)
    # Entries that are no codes have no part in the probabilities.
    probs = model.code_probs(features, ids, mask)
    torch.testing.assert_close(probs[mask], every[..., :32].softmax(-1)[mask])


@torch.no_grad()
def test_with_everything_masked_the_encoder_is_not_needed():
    model = tiny_addp()
    everything = torch.ones(2, 16, dtype=torch.bool)
    expected = model.decode(model.encode(IMAGES), random_ids(), everything)
    torch.testing.assert_close(model.decode(None, random_ids(seed=4), everything), expected)


@torch.no_grad()
def test_all_tokens_reliable_decode_to_the_tokenizer_s_reconstruction():
    model = tiny_addp()
    ids, nothing = random_ids(), torch.zeros(2, 16, dtype=torch.bool)
    x_t = model.synthesize(ids, nothing, torch.rand(2, 16, 32))
    torch.testing.assert_close(x_t, model.tokenizer.decode(model.tokenizer.embed(ids)))


@torch.no_grad()
def test_mapping_functions_differ_in_what_unreliable_positions_show():
    """Table 4: a mean of codes, the most probable code, a code drawn by its probability."""
    ids, mask = random_ids(), random_mask(8)
    probs = torch.zeros(2, 16, 32)
    probs[..., 3], probs[..., 5] = 0.75, 0.25
    weighted, argmax = (
        tiny_addp(mapping=mapping).synthesize(ids, mask, probs)
        for mapping in ('WeightedSum', 'ArgMax')
    )
    tokenizer = tiny_addp().tokenizer
    codes = tokenizer.codebook
    mean = torch.where(mask[..., None], 0.75 * codes[3] + 0.25 * codes[5], tokenizer.embed(ids))
    torch.testing.assert_close(weighted, tokenizer.decode(mean))
    torch.testing.assert_close(argmax, tokenizer.decode(tokenizer.embed(ids.masked_fill(mask, 3))))
    seen = []
    sampling = tiny_addp(mapping='Sampling')
    sampling.tokenizer.decode = lambda embeddings: seen.append(embeddings)
    torch.manual_seed(0)
    for _ in range(200):
        sampling.synthesize(ids, mask, probs)
    drawn = torch.stack(seen)[:, mask]
    is_three = (drawn - sampling.tokenizer.codebook[3]).abs().amax(-1) < 1e-6
    is_five = (drawn - sampling.tokenizer.codebook[5]).abs().amax(-1) < 1e-6
    assert (is_three | is_five).all()
    assert is_three.float().mean() == pytest.approx(0.75, abs=0.03)


def test_targets_are_the_prediction_the_tokens_or_both():
    """Table 6."""
    ids, probs = random_ids(), torch.rand(2, 16, 32).softmax(-1)
    delta = F.one_hot(ids, 32).float()
    assert torch.equal(tiny_addp(target='q').target(probs, ids), probs)
    assert torch.equal(tiny_addp(target='delta').target(probs, ids), delta)
    torch.testing.assert_close(tiny_addp(target='q+delta').target(probs, ids), (probs + delta) / 2)


def test_unreliable_tokens_are_predicted_from_fewer_tokens_unless_the_condition_says_so():
    """Table 3: which masks the two predictions see."""
    for condition, order in (('z_t+1', ('t', 't+1')), ('z_t', ('t-1', 't'))):
        model = tiny_addp(condition=condition)
        ids = random_ids()
        mask_t, mask_other = given_masks(model, 10, 13 if condition == 'z_t+1' else 7)
        target, unreliable = model.predict_tokens(ids, mask_t, mask_other)
        masks = {'t': mask_t, order[0]: mask_other, order[1]: mask_other} | {'t': mask_t}
        torch.testing.assert_close(target, model.token_predictor(ids, masks[order[0]]))
        torch.testing.assert_close(unreliable, model.token_predictor(ids, masks[order[1]]))


@pytest.mark.parametrize('condition', ['z_t+1', 'z_t'])
def test_sampled_masks_nest_and_share_their_counts(condition):
    model = tiny_addp(condition=condition)
    for seed in range(20):
        torch.manual_seed(seed)
        mask_t, mask_other = model.sample_masks(4, 16, 'cpu')
        inner, outer = (mask_t, mask_other) if condition == 'z_t+1' else (mask_other, mask_t)
        assert not (inner & ~outer).any()
        assert len(set(mask_t.sum(1).tolist())) == 1
        assert 8 <= mask_t.sum(1)[0] <= 16


@pytest.mark.parametrize('token_input', ['encoder+decoder', 'decoder', 'none'])
def test_tokens_are_fed_where_the_option_says(token_input):
    """Table 5."""
    model = tiny_addp(token_input=token_input)
    mask, ids = random_mask(6), random_ids()
    others = torch.where(mask, ids, random_ids(seed=7))
    with torch.no_grad():
        features = [model.encode(IMAGES, z, mask) for z in (ids, others)]
        logits = [model.decode(features[0], z, mask) for z in (ids, others)]
    assert torch.equal(*features) == (token_input != 'encoder+decoder')
    assert torch.equal(*logits) == (token_input == 'none')
    assert features[0].shape == (2, 17, 16)
    loss = model.train()(IMAGES, mode='loss')['loss']
    loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_tokens_computed_ahead_give_the_same_loss():
    model = tiny_addp()
    given_masks(model)
    ids = model.tokenizer.encode(IMAGES)
    expected = model(IMAGES, mode='loss')['loss']
    torch.testing.assert_close(model(ids.to(torch.int32), mode='loss')['loss'], expected)


def test_frozen_parts_are_in_no_checkpoint_yet_load_from_one_that_has_them():
    model, other = tiny_addp(), tiny_addp(seed=1)
    saved = other.state_dict()
    assert {name.split('.')[0] for name in saved} == {'encoder', 'decoder'}
    model.load_state_dict(saved)
    torch.testing.assert_close(model.state_dict(), saved)
    whole = saved | other.frozen_state()
    model.load_state_dict(whole)
    torch.testing.assert_close(model.frozen_state(), other.frozen_state())
    whole.pop('tokenizer.quantize.embedding.weight')
    with pytest.raises(RuntimeError, match='quantize'):
        model.load_state_dict(whole)


def test_the_tokenizer_stays_in_evaluation_mode():
    model = tiny_addp().train()
    assert model.encoder.training
    assert model.decoder.training
    assert not any(m.training for m in model.tokenizer.modules())


def test_the_token_predictors_dropout_is_active_in_training():
    """As in the authors' training: engine_pretrain.py, line 18, sets the whole model's mode."""
    predictor = dict(addp()['token_predictor'], drop_rate=0.1)
    model = tiny_addp(token_predictor=predictor).train()
    ids, masks = random_ids(), (random_mask(8), random_mask(10))
    once, again = (model.predict_tokens(ids, *masks)[0] for _ in range(2))
    assert not torch.allclose(once, again)
    model.eval()
    once, again = (model.predict_tokens(ids, *masks)[0] for _ in range(2))
    assert torch.equal(once, again)


def test_distributed_training_is_told_to_leave_frozen_parts_alone():
    model = tiny_addp()
    assert set(model._ddp_params_and_buffers_to_ignore) == set(model.frozen_state())


def test_half_precision_of_frozen_parts_changes_the_loss_little():
    losses = {}
    for dtype in ('float32', 'bfloat16'):
        model = tiny_addp(frozen_dtype=dtype)
        given_masks(model)
        losses[dtype] = model(IMAGES, mode='loss')['loss'].item()
    assert losses['bfloat16'] != losses['float32']
    assert losses['bfloat16'] == pytest.approx(losses['float32'], rel=0.05)


def test_any_backbone_of_stride_16_can_be_the_encoder():
    resnet = dict(type='mmpretrain.ResNet', depth=18, out_indices=(2,))
    decoder = dict(type='mmaddp.ADDPDecoder', **ARCH, **SIZES, in_channels=256)
    model = MODELS.build(addp(encoder=resnet, decoder=decoder))
    assert torch.isfinite(model(IMAGES, mode='loss')['loss'])
    too_coarse = addp(encoder=dict(resnet, out_indices=(3,)), decoder=dict(decoder))
    with pytest.raises(UserError, match=r'gives \(2, 512, 2, 2\), not maps \(B, C, \*\(4, 4\)\)'):
        MODELS.build(too_coarse)(IMAGES, mode='loss')


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(mapping='Mean'), "mapping='Mean' is none of 'WeightedSum'"),
        (dict(target='p'), "target='p' is none of 'q'"),
        (
            dict(tokenizer=dict(type='mmaddp.VQGAN', base_channels=32, num_embeddings=64)),
            'num_embeddings must be the same .* tokenizer has 64, decoder has 32',
        ),
        (
            dict(decoder=dict(type='mmaddp.ADDPDecoder', **ARCH, num_embeddings=32)),
            'num_patches must be the same .* decoder has 256, token_predictor has 16',
        ),
        (
            dict(encoder=dict(type='mmaddp.ADDPViT', arch=dict(ARCH, embed_dims=24), img_size=64)),
            'encoder gives 24 channels, the decoder takes 16: set decoder.in_channels=24',
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        MODELS.build(addp(**settings))


@pytest.mark.parametrize('size', [(96, 64), (128, 32), (72, 64)])
def test_images_of_another_size_are_refused(size):
    """Also those with as many tokens: places are those of a square."""
    told = r'images of {} x {} pixels, the model has num_patches=16, 64 x 64 pixels'.format(*size)
    with pytest.raises(UserError, match=told):
        tiny_addp()(torch.rand(1, 3, *size), mode='loss')


def test_rows_of_different_counts_are_refused():
    mask = random_mask(6)
    mask[0] = True
    with pytest.raises(UserError, match='equally many positions'):
        tiny_addp().decode(None, random_ids(), mask)


def test_the_channels_of_an_encoder_s_maps_are_checked():
    """The stem of a hierarchical backbone is narrower than its maps."""
    swin = dict(
        type='mmpretrain.SwinTransformer',
        arch=dict(embed_dims=16, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]),
        img_size=64,
        window_size=4,
        pad_small_map=True,
        out_indices=(2,),
    )
    decoder = dict(type='mmaddp.ADDPDecoder', **ARCH, **SIZES, in_channels=64)
    model = MODELS.build(addp(encoder=swin, decoder=decoder))
    assert torch.isfinite(model(IMAGES, mode='loss')['loss'])
    wrong = MODELS.build(addp(encoder=swin, decoder=dict(decoder, in_channels=16)))
    with pytest.raises(UserError, match='gives 64 channels, the decoder takes 16'):
        wrong(IMAGES, mode='loss')


def test_a_target_of_tokens_alone_needs_one_prediction():
    model = tiny_addp(target='delta')
    batches = []
    model.token_predictor.register_forward_hook(lambda _, args, __: batches.append(len(args[0])))
    model(IMAGES, mode='loss')
    tiny_addp_with_q = tiny_addp()
    tiny_addp_with_q.token_predictor.register_forward_hook(
        lambda _, args, __: batches.append(len(args[0]))
    )
    tiny_addp_with_q(IMAGES, mode='loss')
    assert batches == [2, 4]


def test_channels_side_by_side_give_the_same_loss():
    losses = []
    for channels_last in (False, True):
        model = tiny_addp(channels_last=channels_last)
        given_masks(model)
        losses.append(model(IMAGES, mode='loss')['loss'])
    torch.testing.assert_close(*losses)
    assert model.tokenizer.encoder.mid.block_1.conv1.weight.stride(1) == 1


def test_where_tokens_go_is_said_once():
    decoder = dict(type='mmaddp.ADDPDecoder', **ARCH, **SIZES, token_input=False)
    with pytest.raises(TypeError, match="multiple values for keyword argument 'token_input'"):
        MODELS.build(addp(decoder=decoder))
