"""Pre-trainings: the authors' layouts into ours, part by part, and back."""

import numpy as np
import pytest
import torch
from tiny_addp import tiny_addp

from mmaddp.checkpoints import convert_checkpoint, read_model_checkpoint, recognize_source
from mmaddp.checkpoints.convert import convert
from mmaddp.models import ADDP, MAGE, VQGAN, ADDPDecoder, ADDPViT
from mmaddp.utils import UserError

from .layouts import bare, equal, mage_shapes, on_meta, published, whole

# What stands in the authors' files though nothing is computed with it.
UNUSED = {
    'decoder_pos_embed',
    'decoder_pred.weight',
    'decoder_pred.bias',
    'pos_token_embed',
    'pos_mask_embed',
    'token_predictor.cls_token',
    'token_predictor.pos_embed',
    'token_predictor.mask_token',
    'token_predictor.patch_embed.proj.weight',
    'token_predictor.patch_embed.proj.bias',
    'token_predictor.decoder_pos_embed',
    'token_predictor.decoder_pred.weight',
    'token_predictor.decoder_pred.bias',
    'token_predictor.token_emb.position_ids',
}


def shapes(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@pytest.fixture(scope='module')
def model():
    return tiny_addp()


TINY = dict(embed_dims=64, num_layers=2, num_heads=4)
SIZES = {
    'addp-tiny': dict(encoder=TINY, decoder=TINY, base_channels=32),
    'addp-vit-base-16': dict(
        encoder='base', decoder=dict(embed_dims=768, num_layers=8, num_heads=16), base_channels=128
    ),
    'addp-vit-large-16': dict(
        encoder='large',
        decoder=dict(embed_dims=1024, num_layers=8, num_heads=16),
        base_channels=128,
    ),
}


@pytest.mark.parametrize('name', SIZES)
def test_a_published_file_fills_every_part(shared, name):
    size = SIZES[name]
    with torch.device('meta'):
        parts = {
            'encoder': ADDPViT(arch=size['encoder']),
            'decoder': ADDPDecoder(**size['decoder']),
            'tokenizer': VQGAN(size['base_channels']),
            'token_predictor': MAGE(size['encoder'], size['decoder']),
        }
    published_file = {'model': published(name, shared), 'epoch': 1}
    state = convert_checkpoint(published_file, 'addp', 'pretrain')
    assert {key.split('.')[0] for key in state} == set(parts)
    for part, module in parts.items():
        assert shapes(bare(state, part)) == shapes(module.state_dict())


@pytest.mark.parametrize(
    ('name', 'arch'), [('mage-vitb-1600', 'base'), ('mage-vitl-1600', 'large')]
)
def test_mage_s_files_fill_the_token_predictor_and_the_tokenizer(shared, name, arch):
    tensors = published(name, shared)
    with torch.device('meta'):
        parts = {'token_predictor': MAGE(arch), 'tokenizer': VQGAN()}
    for part, module in parts.items():
        conversion = convert({'model': tensors}, 'auto', part)
        assert shapes(conversion.state_dict) == shapes(module.state_dict())
        assert sum(line.tensors for line in conversion.parts) == len(tensors)
    both = convert_checkpoint(tensors, 'mage', 'pretrain')
    assert {key.split('.')[0] for key in both} == set(parts)


def test_mage_s_tokenizer_may_be_elsewhere():
    tensors = on_meta(mage_shapes())
    assert recognize_source(tensors) == 'mage'
    assert 'token_embed.word.weight' in convert_checkpoint(tensors, target='token_predictor')
    with pytest.raises(UserError, match=r'to .tokenizer.: missing: vqgan\.encoder'):
        convert_checkpoint(tensors, target='tokenizer')


def test_the_released_vqgan_is_the_tokenizer(shared):
    tensors = published('vqgan_jax_strongaug', shared)
    with torch.device('meta'):
        module = VQGAN()
    state = convert_checkpoint({'state_dict': tensors}, target='tokenizer')
    assert shapes(state) == shapes(module.state_dict())
    with pytest.raises(UserError, match=r'left over: quant_conv\.weight'):
        convert_checkpoint({**tensors, 'quant_conv.weight': torch.empty(1)}, 'vqgan', 'tokenizer')


def test_the_token_predictor_s_copy_of_the_tokenizer_counts(reference_layout):
    tensors = reference_layout('addp-tiny')
    name = 'vqgan.quantize.embedding.weight'
    state = convert_checkpoint(tensors, 'addp', 'tokenizer')
    assert torch.equal(state[name[6:]], tensors[f'token_predictor.{name}'])
    alone = {k: v for k, v in tensors.items() if not k.startswith('token_predictor.vqgan.')}
    state = convert_checkpoint(alone, 'addp', 'tokenizer')
    assert torch.equal(state[name[6:]], tensors[name])


def test_scores_are_flattened_and_their_values_kept(reference_layout):
    tensors = reference_layout('addp-tiny')
    state = convert_checkpoint(tensors, 'addp', 'pretrain')
    assert torch.equal(state['decoder.head.bias'], tensors['mlm_layer.bias'][0, 0])
    predicted = tensors['token_predictor.mlm_layer.bias'][0, 0]
    assert torch.equal(state['token_predictor.head.bias'], predicted)


def test_every_used_tensor_of_a_pretraining_is_required(shared):
    tensors = published('addp-tiny', shared)
    copies = {name for name in tensors if name.startswith('vqgan.')}
    used = sorted(set(tensors) - UNUSED - copies)
    for gone in used[::5]:
        rest = {name: tensor for name, tensor in tensors.items() if name != gone}
        with pytest.raises(UserError, match='missing: ') as error:
            convert_checkpoint(rest, 'addp', 'pretrain')
        assert gone in str(error.value)
    with pytest.raises(UserError, match='left over: stranger'):
        convert_checkpoint({**tensors, 'stranger': torch.empty(1)}, 'addp', 'pretrain')


def test_a_codebook_that_the_vocabulary_does_not_fit_is_named(shared):
    tensors = published('addp-tiny', shared)
    tensors['token_predictor.vqgan.quantize.embedding.weight'] = torch.empty(512, 256)
    with pytest.raises(
        UserError, match='do not fit each other: tokenizer has num_embeddings=512, token_predictor'
    ):
        convert_checkpoint(tensors, 'addp', 'pretrain')


@pytest.mark.parametrize('name', SIZES)
def test_official_has_the_names_and_shapes_of_the_published_files(shared, name):
    tensors = published(name, shared)
    ours = convert_checkpoint(tensors, 'addp', 'pretrain')
    assert shapes(convert_checkpoint(ours, target='official')) == shapes(tensors)


def test_from_published_to_ours_and_back_is_the_identity(reference_layout):
    tensors = reference_layout('addp-tiny')
    back = convert_checkpoint(convert_checkpoint(tensors, 'addp', 'pretrain'), target='official')
    for name in set(tensors) - UNUSED:
        # The files hold the tokenizer twice; the copy that is used fills both.
        expected = tensors.get(f'token_predictor.{name}') if name.startswith('vqgan.') else None
        assert torch.equal(back[name], tensors[name] if expected is None else expected), name
    ids = 'token_predictor.token_emb.position_ids'
    assert torch.equal(back[ids], tensors[ids])


def test_from_ours_to_official_and_back_is_the_identity(model):
    ours = whole(model)
    official = convert_checkpoint(ours, target='official')
    assert recognize_source(official) == 'addp'
    assert equal(convert_checkpoint(official, target='pretrain'), ours)


def test_token_positions_of_the_encoder_go_there_and_back(tmp_path):
    model = tiny_addp(token_input='encoder+decoder')
    ours = whole(model)
    official = convert_checkpoint(ours, target='official')
    assert torch.equal(official['pos_token_embed'], model.encoder_token_pos_embed)
    name = 'encoder_token_pos_embed'
    assert name not in convert_checkpoint(official, target='pretrain')
    torch.save(official, tmp_path / 'official.pth')
    assert equal(read_model_checkpoint(tmp_path / 'official.pth', ours)['state_dict'], ours)


def test_official_fills_fixed_positions_with_mae_s_sines(model):
    """sin and cos of x, then of y, over 10000 ** (4 i / C); the class position is zero."""
    official = convert_checkpoint(whole(model), target='official')
    rows, columns = np.divmod(np.arange(16), 4)
    omega = 10000 ** (-np.arange(4) / 4)
    halves = [f(p[:, None] * omega) for p in (columns, rows) for f in (np.sin, np.cos)]
    expected = np.concatenate([np.zeros((1, 16)), np.concatenate(halves, axis=1)])
    for name in ('decoder_pos_embed', 'token_predictor.pos_embed'):
        np.testing.assert_allclose(official[name][0].numpy(), expected, atol=1e-6)
    assert not official['decoder_pred.weight'].any()
    assert official['decoder_pred.weight'].shape == (768, 16)


def test_a_residual_network_leaves_a_pretraining_under_its_own_names():
    decoder = ADDPDecoder(16, 1, 2, num_patches=16, num_embeddings=32).state_dict()
    network = {'conv1.weight': torch.rand(4, 3, 7, 7), 'layer1.0.bn1.running_mean': torch.rand(4)}
    run = {f'encoder.{k}': v for k, v in network.items()}
    run |= {f'decoder.{k}': v for k, v in decoder.items()}
    assert equal(convert_checkpoint(run, target='backbone'), network)
    assert equal(convert_checkpoint(run, target='pretrain'), run)


def test_a_model_loads_what_is_converted(model):
    again: ADDP = tiny_addp(seed=1)
    official = convert_checkpoint(whole(model), target='official')
    again.load_state_dict(convert_checkpoint(official, target='pretrain'), strict=True)
    assert equal(whole(again), whole(model))
