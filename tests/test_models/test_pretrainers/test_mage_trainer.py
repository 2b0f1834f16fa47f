"""MAGE's objective: which places are masked, dropped and counted, and its training."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS
from scipy.stats import truncnorm
from tiny_addp import random_ids, random_mask
from tiny_scratch import TOKENIZER, mage_trainer

from mmaddp.checkpoints import convert_file
from mmaddp.utils import UserError


def build(**settings):
    torch.manual_seed(0)
    model = MODELS.build(mage_trainer(**settings))
    model.init_weights()
    return model.train()


def test_mask_ratios_follow_the_truncated_normal_distribution():
    model = build()
    torch.manual_seed(0)
    ratios = torch.tensor([model.sample_ratio() for _ in range(4000)])
    expected = truncnorm((0.5 - 0.55) / 0.25, (1 - 0.55) / 0.25, loc=0.55, scale=0.25)
    assert ratios.min() >= 0.5
    assert ratios.max() <= 1
    assert ratios.mean().item() == pytest.approx(
        expected.mean(), abs=4 * expected.std() / 4000**0.5
    )
    assert ratios.std().item() == pytest.approx(expected.std(), rel=0.05)


@pytest.mark.parametrize('ratio', [0.5, 0.61, 1.0])
def test_half_of_the_tokens_are_dropped_and_all_of_those_masked(ratio):
    model = build()
    model.sample_ratio = lambda: ratio
    mask, dropped = model.sample_masks(3, 25, torch.device('cpu'))
    assert mask.sum(1).tolist() == [math.ceil(25 * ratio)] * 3
    assert dropped.sum(1).tolist() == [13] * 3
    assert not (dropped & ~mask).any()


def test_the_encoder_does_not_see_dropped_positions():
    predictor = build().token_predictor.eval()
    mask, dropped = random_mask(11), random_mask(8)
    lengths = []
    predictor.blocks[0].register_forward_hook(lambda _, args, __: lengths.append(args[0].shape[1]))
    with torch.no_grad():
        before = predictor.logits(random_ids(), mask, dropped)
        place = int(dropped[0].nonzero()[0])
        predictor.token_embed.position.weight[1 + place] += 1
        after = predictor.logits(random_ids(), mask, dropped)
        predictor.token_embed.position.weight[0] += 1
        moved = predictor.logits(random_ids(), mask, dropped)
    assert lengths == [1 + 16 - 8] * 3
    assert torch.equal(before[0], after[0])
    assert not torch.allclose(after[0], moved[0])


def test_dropping_nothing_is_inference():
    predictor = build().token_predictor.eval()
    ids, mask = random_ids(), random_mask(9)
    expected = predictor.logits(ids, mask)
    torch.testing.assert_close(predictor.logits(ids, mask, torch.zeros_like(mask)), expected)


def test_visible_tokens_are_no_target():
    """The loss looks at the ids of masked places, the encoder at those of the others.

    Classes and mask are not scored: models_mage.py of the authors, line 350.
    """
    model = build().eval()
    mask, dropped = random_mask(9), random_mask(8)
    model.sample_masks = lambda *_: (mask, dropped)
    log_probs = model.token_predictor.logits(random_ids(), mask, dropped).log_softmax(-1)
    chosen = log_probs.gather(-1, random_ids()[..., None])[..., 0]
    expected = -(0.9 * chosen + 0.1 * log_probs.mean(-1))[mask].mean()
    torch.testing.assert_close(model(random_ids())['loss'], expected)


def test_training_lowers_the_loss_and_leaves_the_tokenizer():
    model = build(num_patches=4)
    assert not model.tokenizer.training
    assert {n.split('.')[0] for n in model.state_dict()} == {'token_predictor'}
    tokenizer = {n: t.clone() for n, t in model.tokenizer.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = OptimWrapper(torch.optim.AdamW(trained, lr=1e-2))
    images = [torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in range(4)]
    losses = [
        model.train_step(dict(inputs=images, data_samples=None), optimizer)['loss'].item()
        for _ in range(60)
    ]
    # An untrained model knows nothing: the logarithm of 32 codes.
    assert losses[0] == pytest.approx(math.log(32), abs=0.5)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert all(torch.equal(t, tokenizer[n]) for n, t in model.tokenizer.state_dict().items())


def test_embeddings_that_start_from_the_codebook_keep_its_distances(tmp_path):
    random, started = (build(code_embeddings=choice) for choice in (False, True))
    codes = torch.pdist(random.tokenizer.codebook)

    def rows(model):
        return model.token_predictor.token_embed.word.weight.detach()[: model.num_codes]

    def correlation(model):
        return torch.corrcoef(torch.stack([codes, torch.pdist(rows(model))]))[0, 1].item()

    assert correlation(started) > 0.5 > 0.2 > abs(correlation(random))
    assert rows(started).std().item() == pytest.approx(rows(random).std().item(), rel=0.2)
    # A checkpoint's embeddings stay.
    torch.save({'state_dict': random.state_dict()}, tmp_path / 'mage.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'mage.pth'))
    predictor = dict(mage_trainer()['token_predictor'], init_cfg=init)
    assert torch.equal(rows(build(code_embeddings=True, token_predictor=predictor)), rows(random))


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match='tokenizer has 64, token_predictor has 32'):
        build(tokenizer=dict(TOKENIZER, num_embeddings=64))
    with pytest.raises(UserError, match='images of 32 x 32 pixels, the model has num_patches=16'):
        build()(torch.rand(1, 3, 32, 32))
    for ratio in (-0.5, 1.5):
        with pytest.raises(UserError, match=rf'model.min_ratio={ratio}: must be in \[0, 1\]'):
            build(min_ratio=ratio)


def test_a_token_predictor_alone_fills_the_model(tmp_path):
    trained, whole, alone = build(), tmp_path / 'whole.pth', tmp_path / 'alone.safetensors'
    torch.save({'state_dict': trained.state_dict()}, whole)
    convert_file(whole, alone, target='token_predictor')
    weights = build().read_weights(alone)
    predictor = trained.token_predictor.state_dict()
    assert weights.keys() == {f'token_predictor.{name}' for name in predictor}
    assert all(torch.equal(weights[f'token_predictor.{n}'], t) for n, t in predictor.items())
