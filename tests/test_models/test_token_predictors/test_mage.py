import numpy as np
import pytest
import torch
from tiny_addp import ARCH, SIZES, random_ids, random_mask, tiny_addp

from mmaddp.checkpoints import convert_checkpoint
from mmaddp.models import MAGE

TINY = dict(embed_dims=64, num_layers=2, num_heads=4)


@pytest.fixture(scope='module')
def predictor():
    return tiny_addp().token_predictor


def test_probabilities_are_the_reference_s(shared, reference_layout):
    golden = np.load(shared / 'reference/golden/addp_tiny.npz')
    published = convert_checkpoint({'model': reference_layout('addp-tiny')}, 'addp', 'pretrain')
    prefix = 'token_predictor.'
    model = MAGE(encoder=TINY, decoder=TINY).eval()
    model.load_state_dict(
        {k[len(prefix) :]: v for k, v in published.items() if k.startswith(prefix)}
    )
    ids, mask = (torch.from_numpy(golden[key])[:1] for key in ('token_ids', 'mask_t'))
    with torch.no_grad():
        probs = model(ids.long(), mask)
    expected = golden['predictor_prob_t'].reshape(1, 1024, 256).transpose(0, 2, 1)
    np.testing.assert_allclose(probs, expected, atol=1e-4 * expected.max())


@torch.no_grad()
def test_masked_tokens_are_not_looked_at(predictor):
    mask = random_mask(9)
    ids, others = random_ids(), random_ids(seed=5)
    expected = predictor(ids, mask)
    torch.testing.assert_close(predictor(torch.where(mask, others, ids), mask), expected)
    assert not torch.allclose(predictor(torch.where(mask, ids, others), mask), expected)


@torch.no_grad()
def test_probabilities_of_the_codes_alone_sum_to_one(predictor):
    probs = predictor(random_ids(), random_mask(9))
    assert probs.shape == (2, 16, 32)
    torch.testing.assert_close(probs.sum(-1), torch.ones(2, 16))


def test_the_decoder_may_have_another_width():
    narrow = dict(embed_dims=8, num_layers=1, num_heads=2)
    model = MAGE(encoder=ARCH, decoder=narrow, **SIZES).eval()
    assert model.logits(random_ids(), random_mask(3)).shape == (2, 16, 32)
