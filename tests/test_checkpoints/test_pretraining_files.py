"""Files of pre-trainings: frozen parts that join them, and the parts that are read from them."""

import pytest
import torch
from tiny_addp import tiny_addp

from mmaddp.checkpoints import (
    PARTS,
    convert_checkpoint,
    convert_file,
    read_checkpoint,
    read_part,
    recognize_source,
)
from mmaddp.utils import UserError

from .layouts import bare, equal, mage_shapes, random_weights, whole


@pytest.fixture(scope='module')
def model():
    return tiny_addp()


@pytest.fixture
def run(model, tmp_path):
    """A checkpoint as training leaves it: no frozen parts, other things beside the weights."""
    path = tmp_path / 'epoch_3.pth'
    torch.save({'meta': {'epoch': 3}, 'state_dict': model.state_dict(), 'optimizer': {}}, path)
    return path


@pytest.fixture
def frozen_files(model, tmp_path):
    """Checkpoints of the trainings of tokenizer and token predictor."""
    files = {}
    for part in model.frozen_parts:
        state = {k: v for k, v in model.frozen_state().items() if k.startswith(f'{part}.')}
        state['discriminator.conv.weight'] = torch.zeros(3)
        files[part] = tmp_path / f'{part}.pth'
        torch.save({'meta': {'iter': 9}, 'state_dict': state}, files[part])
    return files


def test_a_training_checkpoint_needs_its_frozen_parts_to_become_official(
    model, run, frozen_files, tmp_path
):
    destination = tmp_path / 'official.pth'
    told = r'epoch_3\.pth: .*--tokenizer FILE --token-predictor FILE'
    with pytest.raises(UserError, match=told):
        convert_file(run, destination, target='official')
    report = convert_file(run, destination, target='official', frozen_parts=frozen_files)
    file = torch.load(destination, weights_only=True)
    assert set(file) == {'meta', 'model'}
    assert equal(convert_checkpoint(file['model'], 'addp', 'pretrain'), whole(model))
    assert recognize_source(read_checkpoint(destination)) == 'addp'
    assert len(report.meta['tokenizer_sha256']) == 64
    added = {line.fate for line in report.parts if line.fate.startswith('added')}
    assert added == {'added: zeros', 'added: sines', 'added: numbers'}


def test_frozen_parts_join_a_training_checkpoint(model, run, frozen_files, tmp_path):
    whole_file = tmp_path / 'whole.safetensors'
    convert_file(run, whole_file, target='pretrain', frozen_parts=frozen_files)
    assert equal(read_checkpoint(whole_file)['state_dict'], whole(model))
    with pytest.raises(UserError, match='a tokenizer of its own: leave --tokenizer out'):
        convert_file(whole_file, tmp_path / 'a.pth', target='pretrain', frozen_parts=frozen_files)
    with pytest.raises(UserError, match=r'a\.safetensors: the file to write must end in \.pth'):
        convert_file(whole_file, tmp_path / 'a.safetensors', target='official')


@pytest.mark.parametrize('part', PARTS)
def test_a_part_is_read_from_every_file_that_has_it(model, tmp_path, part):
    ours, expected = whole(model), bare(whole(model), part)
    files = {'ours': ours, 'official': convert_checkpoint(ours, target='official')}
    for name, tensors in files.items():
        torch.save(tensors, tmp_path / f'{name}.pth')
        convert_file(tmp_path / f'{name}.pth', tmp_path / f'{name}-{part}.pth', target=part)
        assert equal(read_part(tmp_path / f'{name}.pth', part), expected)
        assert equal(read_part(tmp_path / f'{name}-{part}.pth', part), expected)
    torch.save({'state_dict': expected}, tmp_path / 'bare.pth')
    assert equal(read_part(tmp_path / 'bare.pth', part), expected)


def test_a_file_without_the_part_says_so(run, tmp_path):
    with pytest.raises(UserError, match=r'epoch_3\.pth: .*it holds no tokenizer'):
        read_part(run, 'tokenizer')
    torch.save(random_weights(mage_shapes()), tmp_path / 'mage.pth')
    with pytest.raises(UserError, match="'decoder' cannot be made from 'mage'"):
        read_part(tmp_path / 'mage.pth', 'decoder')


def test_a_decoder_without_token_input_is_a_decoder(tmp_path):
    model = tiny_addp(token_input='none')
    torch.save(model.state_dict(), tmp_path / 'none.pth')
    assert equal(read_part(tmp_path / 'none.pth', 'decoder'), model.decoder.state_dict())
