"""Two processes evaluate one model, and remember each image once."""

import json
from pathlib import Path

import pytest
from tiny_probe import probe_config
from tiny_processes import IN_PROCESSES, in_processes, remember_images
from tiny_runs import run_training, write_images

VIT = dict(
    type='mmaddp.DARLViT',
    arch=dict(embed_dims=16, num_layers=2, num_heads=2),
    img_size=16,
    patch_size=8,
)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('data') / 'images')


def test_two_processes_evaluate_the_buffers_of_the_first(tmp_path, images):
    config = probe_config(images, tmp_path / 'run', VIT)
    config.merge_from_dict({**IN_PROCESSES, 'model.head.batch_norm': True})
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.custom_hooks = [dict(type='BufferRecorder')]
    assert in_processes(2, run_training, config) == [0, 0]
    first, second = (
        [
            json.loads(line)
            for line in Path(f'{tmp_path}/run.buffers{rank}').read_text().splitlines()
        ]
        for rank in range(2)
    )
    assert first[0] == first[1] == second[1] != second[0]


@pytest.mark.parametrize('processes', [1, 2])
def test_each_image_is_remembered_once(tmp_path, images, processes):
    # 15 images: neither batches of two nor two processes divide them.
    config = probe_config(images, tmp_path / 'run', VIT, layers=['block_2'])
    config.model.head = dict(type='mmaddp.KNNClassifier', num_classes=3, k=3)
    config.train_dataloader.update(drop_last=True, batch_size=2)
    if processes > 1:
        config.merge_from_dict(IN_PROCESSES)
    assert in_processes(processes, remember_images, config, tmp_path / 'count') == [0] * processes
    assert {(tmp_path / f'count{i}').read_text() for i in range(processes)} == {'15'}
