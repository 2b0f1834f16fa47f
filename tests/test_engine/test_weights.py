"""Weights of a pre-training: frozen parts are whole or absent, in training and in testing."""

import pytest
import torch
from tiny_addp import pretraining, tiny_addp
from tiny_runs import last_checkpoint, run_training, write_images

from mmaddp.checkpoints import convert_checkpoint, convert_file, read_model_checkpoint
from mmaddp.engine.runner.weights import check_weights
from mmaddp.utils import UserError


@pytest.fixture(scope='module')
def model():
    return tiny_addp()


@pytest.fixture
def official(model, tmp_path):
    return write_official(model, tmp_path / 'addp.pth')


def write_official(model, path):
    ours = {**model.state_dict(), **model.frozen_state()}
    torch.save({'model': convert_checkpoint(ours, target='official')}, path)
    return path


@pytest.mark.parametrize('complete', [True, False])
def test_frozen_parts_may_be_there_or_not(model, complete):
    trained, frozen = model.state_dict(), model.frozen_state()
    tokenizer = {k: v for k, v in frozen.items() if k.startswith('tokenizer.')}
    for parts in ({}, tokenizer, frozen):
        check_weights(model, {**trained, **parts}, 'a.pth', complete)


@pytest.mark.parametrize('complete', [True, False])
def test_half_a_frozen_part_is_refused(model, complete):
    frozen = model.frozen_state()
    gone = next(name for name in frozen if name.startswith('token_predictor.'))
    weights = {**model.state_dict(), **frozen}
    del weights[gone]
    with pytest.raises(UserError, match=f'a.pth: .*missing: {gone}'):
        check_weights(model, weights, 'a.pth', complete)


def test_a_frozen_part_of_another_size_is_refused(model):
    name = 'tokenizer.quantize.embedding.weight'
    weights = {**model.state_dict(), **model.frozen_state(), name: torch.zeros(64, 16)}
    with pytest.raises(UserError, match=r'embedding.weight is \(64, 16\), expected \(32, 16\)'):
        check_weights(model, weights, 'a.pth', complete=False)


def test_something_else_left_over_is_refused_when_testing(model):
    weights = {**model.state_dict(), 'teacher.weight': torch.zeros(1)}
    with pytest.raises(UserError, match=r'left over: teacher\.weight'):
        check_weights(model, weights, 'a.pth', complete=True)


def test_a_pretraining_goes_on_from_the_authors_file(model, official):
    weights = read_model_checkpoint(official, model.state_dict())['state_dict']
    check_weights(model, weights, str(official), complete=True)
    again = tiny_addp(seed=1)
    again.load_state_dict(weights)
    assert torch.equal(again.decoder.head.bias, model.decoder.head.bias)


def test_token_positions_of_the_encoder_come_where_the_model_has_them(official):
    model = tiny_addp(token_input='encoder+decoder')
    weights = read_model_checkpoint(official, model.state_dict())['state_dict']
    assert weights['encoder_token_pos_embed'].shape == (1, 17, 16)


def test_a_file_of_one_part_belongs_into_that_part(model, official, tmp_path):
    for part in ('tokenizer', 'token_predictor'):
        convert_file(official, tmp_path / f'{part}.pth', target=part)
        with pytest.raises(UserError, match=f'holds a {part}, .* name it in the {part}: init_cfg'):
            read_model_checkpoint(tmp_path / f'{part}.pth', model.state_dict())
    with pytest.raises(UserError, match='holds an encoder, not a whole model'):
        read_model_checkpoint(official)


def test_a_run_starts_from_the_authors_file(tmp_path):
    """With a learning rate of zero it ends as it began, all parts having come from the file."""
    model = tiny_addp(seed=2, img_size=32)
    official = write_official(model, tmp_path / 'addp.pth')
    images = write_images(tmp_path / 'images')
    settings = {'optim_wrapper.optimizer.lr': 0.0, 'load_from': str(official)}
    config = pretraining(images, tmp_path / 'run', by_epoch=False, **settings)
    config.param_scheduler = None
    for part in ('tokenizer', 'token_predictor'):
        del config.model[part]['init_cfg']
    run_training(config)
    end = last_checkpoint(tmp_path / 'run')['state_dict']
    assert end.keys() == model.state_dict().keys()
    assert all(torch.equal(end[name], value) for name, value in model.state_dict().items())
    # Its checkpoints lack the frozen parts, which would be random from here on.
    with pytest.raises(UserError, match=r'^model\.tokenizer\.init_cfg is not set .* to resume'):
        run_training(config, resume=True)
