"""The encoders that come with the package: found by name, described, loaded."""

from pathlib import Path

import pytest
import torch
import yaml
from scripts import load_script

from mmaddp import zoo
from mmaddp.apis import load_config, load_pretrainer
from mmaddp.checkpoints import convert_file, read_checkpoint
from mmaddp.checkpoints.files import halved
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

NAMES = zoo.list_names()
MAX_BYTES, MAX_TOTAL_BYTES = 6e6, 30e6


def test_the_zoo_is_small_enough_for_a_repository():
    sizes = [zoo.file_of(name).stat().st_size for name in NAMES]
    assert NAMES
    assert max(sizes) <= MAX_BYTES
    assert sum(sizes) <= MAX_TOTAL_BYTES


@pytest.mark.parametrize('name', NAMES)
def test_a_card_tells_what_was_trained_and_how(name, repository):
    card = zoo.read_card(name)
    assert {'method', 'config', 'data', 'parameters', 'seed', 'hours', 'license'} <= set(card.facts)
    assert (repository / card.facts['config']).is_file()
    assert 'tools/train.py' in card.text


@pytest.mark.parametrize('name', NAMES)
def test_the_model_index_lists_it_beside_its_config(name, repository):
    config = zoo.read_card(name).facts['config']
    models = yaml.safe_load((repository / config).with_name('metafile.yml').read_text())['Models']
    (entry,) = (model for model in models if model.get('Weights') == f'zoo://{name}')
    assert entry['Config'] == config


@pytest.mark.parametrize('name', NAMES)
def test_the_config_of_the_card_takes_the_weights(name, repository, monkeypatch):
    monkeypatch.setenv('IMAGE_DIR', 'photos')
    model = model_of_card(repository / zoo.read_card(name).facts['config'], name)
    stored = read_checkpoint(f'zoo://{name}')['state_dict']
    loaded = model.state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(loaded[key], tensor.to(loaded[key])) for key, tensor in stored.items())


def model_of_card(config, name):
    model = load_config(config).model
    if model.type != 'mmaddp.VQGANTrainer':
        return load_pretrainer(config, f'zoo://{name}', device='cpu')
    weights = dict(type='Pretrained', checkpoint=f'zoo://{name}')
    tokenizer = MODELS.build(dict(model.tokenizer, init_cfg=weights))
    tokenizer.init_weights()
    return tokenizer


@pytest.mark.parametrize('name', NAMES)
def test_files_are_half_precision_and_name_their_layout(name):
    checkpoint = read_checkpoint(f'zoo://{name}')
    dtypes = {t.dtype for t in checkpoint['state_dict'].values() if t.is_floating_point()}
    assert dtypes == {torch.float16}
    assert checkpoint['meta']['mmaddp']['target'] in ('pretrain', 'tokenizer', 'token_predictor')


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(UserError, match=rf'zoo://{NAMES[0]}x: .*{NAMES[0]}'):
        read_checkpoint(f'zoo://{NAMES[0]}x')


def test_paths_of_other_files_stay():
    assert zoo.located('work_dirs/iter_1.pth') == Path('work_dirs/iter_1.pth')


def test_the_tool_lists_names_and_prints_cards(repository, capsys):
    main = load_script(repository / 'tools/zoo.py').main
    main([])
    listed = capsys.readouterr().out
    assert all(f'zoo://{name}' in listed for name in NAMES)
    main([f'zoo://{NAMES[0]}'])
    assert '## Data' in capsys.readouterr().out


def test_half_precision_changes_nothing_that_is_half_already(tmp_path):
    convert_file(
        zoo.file_of(NAMES[0]), tmp_path / 'again.safetensors', target='pretrain', half=True
    )
    stored, again = (
        read_checkpoint(path)['state_dict']
        for path in (f'zoo://{NAMES[0]}', tmp_path / 'again.safetensors')
    )
    assert all(torch.equal(stored[key], again[key]) for key in stored)
    with pytest.raises(UserError, match='weight exceeds the range of float16'):
        halved({'weight': torch.tensor([1e5])})
