"""Tokens that were computed ahead are those that the training itself would compute."""

import json
import os

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from safetensors.numpy import load_file
from scripts import load_script
from tiny_addp import addp, pretraining
from tiny_runs import run_training, write_images

from mmaddp.datasets import VQTokenDataset
from mmaddp.engine.data import SeededDataset
from mmaddp.engine.resumption import PositionedIndex
from mmaddp.experiments import tokenizing
from mmaddp.experiments.tokenizing import build_images, tokenize_dataset
from mmaddp.registry import MODELS
from mmaddp.utils import UserError

SHARD, CROPS = 4, 3
SIDE, TOKENS = 64, 16


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """15 images of 24 x 24 pixels, read at 64 x 64, and a tokenizer's file."""
    folder = tmp_path_factory.mktemp('tokenizing')
    config = pretraining(write_images(folder / 'images'), folder / 'run', by_epoch=False)
    config.model = addp(img_size=SIDE)
    config.train_dataloader.dataset.pipeline[1].scale = SIDE
    torch.manual_seed(0)
    tokenizer = MODELS.build(config.model.tokenizer)
    torch.nn.init.normal_(tokenizer.codebook)
    torch.save({'state_dict': tokenizer.state_dict()}, folder / 'tokenizer.pth')
    checkpoint = str(folder / 'tokenizer.pth')
    config.model.tokenizer.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    return config


def tokenize(config, folder, **settings):
    defaults = dict(crops_per_image=CROPS, shard_size=SHARD, num_workers=0, batch_size=7)
    tokenize_dataset(config, folder, **{**defaults, **settings})


@pytest.fixture(scope='module')
def tokens(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp('tokens')
    tokenize(config, folder)
    return folder


def shards(folder):
    return sorted(folder.glob('shard_*.safetensors'))


def stored(folder, key):
    return np.concatenate([load_file(path)[key] for path in shards(folder)])


def test_tokens_are_those_of_the_crops(config, tokens):
    """Crop k of image i, made anew from its seed and read as training reads images."""
    init_default_scope('mmpretrain')
    model = MODELS.build({**config.model, 'token_predictor': None})
    model.tokenizer.load_state_dict(
        torch.load(config.model.tokenizer.init_cfg.checkpoint)['state_dict']
    )
    dataset = SeededDataset(config.train_dataloader.dataset, seed=0)
    ids = stored(tokens, 'ids')
    assert ids.shape == (15, CROPS, TOKENS)
    assert ids.dtype == np.uint8
    for image, crop in ((0, 0), (5, 1), (14, 2)):
        sample = dataset[PositionedIndex(image, epoch=crop, draw=image)]
        inputs = model.data_preprocessor({'inputs': [sample['inputs']]})['inputs']
        assert ids[image, crop].tolist() == model.tokenize(inputs)[0].tolist()
    assert (ids[:, 0] != ids[:, 1]).any()


def test_boxes_and_flips_are_what_was_cropped(config, tokens):
    from mmcv import imflip, imread, imresize

    init_default_scope('mmpretrain')
    dataset = build_images(config, seed=0)
    boxes, flips = stored(tokens, 'crop_boxes'), stored(tokens, 'flips')
    assert {bool(flip) for flip in flips.flat} == {True, False}
    for image, crop in ((2, 0), (9, 2)):
        sample = dataset[PositionedIndex(image, epoch=crop, draw=image)]
        x, y, width, height = boxes[image, crop]
        whole = imread(sample['data_samples'].img_path)
        cropped = imresize(whole[y : y + height, x : x + width], (SIDE, SIDE))
        cropped = imflip(cropped) if flips[image, crop] else cropped
        assert np.array_equal(cropped.transpose(2, 0, 1), sample['inputs'].numpy())


def test_reading(tokens, config):
    dataset = VQTokenDataset(str(tokens))
    assert len(dataset) == 15
    ids = stored(tokens, 'ids')
    drawn = set()
    for number in range(30):
        np.random.seed(number)
        sample = dataset[6]
        crop = sample['data_samples'].crop
        drawn.add(crop)
        assert sample['inputs'].dtype == torch.int64
        assert sample['inputs'].tolist() == ids[6, crop].tolist()
        assert os.path.samefile(sample['data_samples'].img_path, _path(config, 6))
    assert drawn == {0, 1, 2}


def _path(config, index):
    names = sorted(os.listdir(config.train_dataloader.dataset.data_root))
    name = names[index // 5]
    return f'{config.train_dataloader.dataset.data_root}/{name}/{name}{index % 5}.png'


def test_killed_and_resumed_by_two_processes(config, tokens, tmp_path, monkeypatch):
    """The same bytes, and nothing is encoded twice."""
    write = tokenizing.save_file

    def killed(tensors, path):
        if shards(tmp_path):
            raise KeyboardInterrupt
        write(tensors, path)

    monkeypatch.setattr(tokenizing, 'save_file', killed)
    with pytest.raises(KeyboardInterrupt):
        tokenize(config, tmp_path)
    assert [path.name for path in shards(tmp_path)] == ['shard_00000.safetensors']
    with pytest.raises(UserError, match=r'3 shards are missing \(shard_00001'):
        VQTokenDataset(str(tmp_path))
    written = []
    monkeypatch.setattr(tokenizing, 'save_file', lambda *to: (written.append(to), write(*to)))
    for rank in (1, 0):
        tokenize(config, tmp_path, rank=rank, world_size=2)
    assert len(written) == 3
    for one, other in zip(shards(tokens), shards(tmp_path)):
        assert one.read_bytes() == other.read_bytes()


def test_other_settings_are_refused(config, tokens):
    with pytest.raises(UserError, match=r'results of seed 0, not 1'):
        tokenize(config, tokens, seed=1)


def reading(config, tokens, work_dir, **settings):
    """The config, trained on the tokens."""
    config = pretraining(config.train_dataloader.dataset.data_root, work_dir, by_epoch=False)
    config.train_dataloader.dataset = dict(type='mmaddp.VQTokenDataset', data_root=str(tokens))
    config.train_dataloader.collate_fn = dict(type='default_collate')
    config.model = addp(SIDE, data_preprocessor=dict(type='BaseDataPreprocessor'))
    config.custom_hooks = []
    config.train_cfg.max_iters = 3
    config.merge_from_dict(settings)
    return config


def test_training_reads_them(config, tokens, tmp_path):
    # In place of the random initialization, whose keys it does not have.
    init = {'model.tokenizer.init_cfg': dict(config.model.tokenizer.init_cfg, _delete_=True)}
    run_training(reading(config, tokens, tmp_path / 'run', **init))
    assert (tmp_path / 'run' / 'iter_3.pth').is_file()


def test_another_tokenizer_is_refused(config, tokens, tmp_path):
    with pytest.raises(
        UserError, match=r'settings\.json: .* another tokenizer .* tokenizer_sha256'
    ):
        run_training(reading(config, tokens, tmp_path / 'run'))
    model = MODELS.build(addp(token_predictor=None))
    with pytest.raises(UserError, match='tokens_per_image 16, while the model has 4'):
        VQTokenDataset(str(tokens)).check_model(MODELS.build(addp(32, token_predictor=None)))
    model.tokenizer.num_embeddings = 64
    with pytest.raises(UserError, match='num_embeddings 32, while the model has 64'):
        VQTokenDataset(str(tokens)).check_model(model)


def test_no_tokens(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'settings\.json'):
        VQTokenDataset(str(tmp_path))


def test_a_broken_shard(tokens, tmp_path):
    for path in (tokens / 'settings.json', *shards(tokens)):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:1000])
    (tmp_path / 'settings.json').write_text(
        json.dumps(json.loads((tokens / 'settings.json').read_text()))
    )
    with pytest.raises(UserError, match=r'shard_00000\.safetensors is broken .*remove it'):
        VQTokenDataset(str(tmp_path))[0]


def test_tool(config, repository, tmp_path, tokens):
    tool = load_script(repository / 'tools/dataset_converters/tokenize_dataset.py')
    given = config.copy()
    file = given.model.tokenizer.pop('init_cfg').checkpoint
    given.dump(tmp_path / 'config.py')
    options = [
        '--out',
        str(tmp_path / 'out'),
        '--crops-per-image',
        str(CROPS),
        '--num-workers',
        '0',
    ]
    arguments = [str(tmp_path / 'config.py'), *options, '--shard-size', str(SHARD)]
    with pytest.raises(UserError, match='has no weights: give --tokenizer'):
        tool.main(arguments)
    tool.main([*arguments, '--tokenizer', file])
    assert [p.read_bytes() for p in shards(tmp_path / 'out')] == [
        p.read_bytes() for p in shards(tokens)
    ]
    image_folder = config.train_dataloader.dataset.data_root + '/red'
    images = [*arguments, '--tokenizer', file, '--images', image_folder]
    tool.main([*images, '--out', str(tmp_path / 'red')])
    assert len(VQTokenDataset(str(tmp_path / 'red'))) == 5
