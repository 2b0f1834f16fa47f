"""The encoders that come with the package: found by name, described, and loaded by their configs."""

from pathlib import Path

import pytest
import torch

from config_tools import CONFIG_DIR
from mmaddp import zoo
from mmaddp.checkpoints import convert_file, read_checkpoint
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
def test_a_card_tells_what_was_trained_and_how(name):
    card = zoo.read_card(name)
    assert {'method', 'config', 'data', 'parameters', 'seed', 'hours', 'license'} <= set(card.facts)
    assert (Path(CONFIG_DIR).parent / card.facts['config']).is_file()
    assert 'tools/train.py' in card.text


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
