"""Label-free selection: what is measured, what is not measured twice, and what is refused."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from scripts import load_script
from tiny_darl import darl
from tiny_ddae import ddae, tiny_ddae
from tiny_runs import write_images

from mmaddp.diffusion import ImageNoise
from mmaddp.evaluation.alignment import alignment
from mmaddp.experiments import layer_selection
from mmaddp.experiments.layer_selection import (
    Point,
    best_of,
    plot_trails,
    table_of,
    trails_of,
)
from mmaddp.experiments.training_images import training_images
from mmaddp.utils import UserError

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=8),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackInputs'),
]


@pytest.fixture
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/alignment_uniformity.py')


@pytest.fixture
def files(tmp_path):
    """A config on drawn images, and two checkpoints of its model."""
    data = dict(
        type='CustomDataset',
        data_root=str(write_images(tmp_path / 'images')),
        pipeline=PIPELINE,
        with_label=False,
    )
    settings = dict(
        default_scope='mmpretrain', model=ddae(), train_dataloader=dict(dataset=data, batch_size=4)
    )
    Config(settings).dump(tmp_path / 'config.py')
    for step in (20, 100):
        state = tiny_ddae(ddae(), seed=step).state_dict()
        checkpoint = {'meta': {'iter': step}, 'state_dict': state}
        torch.save(checkpoint, tmp_path / f'iter_{step}.pth')
    return tmp_path


def run(tool, files, *words, config='config.py'):
    options = ['--level', '11', '--num-workers', '0', '--work-dir', str(files / 'out')]
    paths = [str(files / config), *(str(files / word) for word in words if word.endswith('.pth'))]
    tool.main([*paths, *options, *(word for word in words if not word.endswith('.pth'))])


def read(files, name):
    return json.loads((files / f'out/{name}.json').read_text())


def measured(files, name):
    return read(files, 'results')[str(files / name)]['layers']


def test_what_is_measured(tool, files):
    """Two noises of every image, without augmentation, at the level."""
    run(tool, files, 'iter_20.pth', '--batch-size', '7')
    model = tiny_ddae(ddae(), seed=20)
    images = training_images(Config.fromfile(files / 'config.py'), 8)
    assert len(images) == 15
    batch = torch.stack([images[index]['inputs'] for index in range(15)])
    inputs = model.data_preprocessor({'inputs': batch})['inputs']
    noise = ImageNoise(0, range(15))
    with torch.no_grad():
        one, other = (
            model.forward_intermediates(inputs, None, 11, noise.normal(inputs)) for _ in range(2)
        )
    found = measured(files, 'iter_20.pth')
    assert list(found) == list(one)
    for layer in one:
        expected = alignment(one[layer].mean((2, 3)), other[layer].mean((2, 3)))
        assert found[layer]['alignment'] == pytest.approx(expected, rel=1e-4)
        assert -8 <= found[layer]['uniformity'] <= 0


def test_a_checkpoint_is_measured_once(tool, files, monkeypatch):
    run(tool, files, 'iter_100.pth', '--layers', 'out_2')
    counted = []
    measure = layer_selection.measure
    monkeypatch.setattr(
        layer_selection, 'measure', lambda *given: counted.append(1) or measure(*given)
    )
    before = measured(files, 'iter_100.pth')
    run(tool, files, 'iter_100.pth', 'iter_20.pth', '--layers', 'out_2')
    assert len(counted) == 1
    assert measured(files, 'iter_100.pth') == before
    # Layers that it lacks are added to those that it has.
    run(tool, files, 'iter_100.pth')
    assert measured(files, 'iter_100.pth')['out_2'] == pytest.approx(before['out_2'])
    assert sorted(measured(files, 'iter_100.pth')) == read(files, 'settings')['encoder']
    table = (files / 'out/alignment_uniformity.md').read_text().splitlines()
    steps = [line.split('|')[2].strip() for line in table if line.startswith('| out_2 ')]
    assert steps == ['20', '100']
    assert (files / 'out/alignment_uniformity.png').read_bytes().startswith(b'\x89PNG')


def test_a_part_of_the_images_is_the_seeds(files):
    config = Config.fromfile(files / 'config.py')
    parts = [training_images(config, 8, num_images=4, seed=seed).indices for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    assert len(set(parts[0])) == 4


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--layers', 'out_99'], 'out_99: the network has out_1'),
        (['--level', '1001'], 'levels 1 to 1000'),
        (['--num-images', '1'], r'--num-images=1: must be in \[2, 15\]'),
    ],
)
def test_bad_input_is_one_line(tool, files, words, message):
    with pytest.raises(UserError, match=message):
        run(tool, files, 'iter_20.pth', *words)


def test_other_settings_are_not_mixed(tool, files):
    run(tool, files, 'iter_20.pth', '--layers', 'out_1')
    with pytest.raises(UserError, match='results of seed 0, not 1'):
        run(tool, files, 'iter_100.pth', '--seed', '1')


def test_encoders_of_clean_images_are_refused(tool, files):
    config = Config.fromfile(files / 'config.py')
    config.model = darl()
    config.dump(files / 'darl.py')
    with pytest.raises(UserError, match='noise level 11: DARL has no noise levels'):
        run(tool, files, 'iter_20.pth', config='darl.py')


def test_figure_3_has_a_dot_for_each_checkpoint():
    trails = {
        'out_1': [Point('out_1', '20', 0.9, -1.0, 0), Point('out_1', '100', 0.5, -2.0, 1)],
        'out_2': [Point('out_2', '100', 0.2, -1.5, 1)],
    }
    axis = plot_trails(trails).axes[0]
    dots = [np.asarray(one.get_offsets()).tolist() for one in axis.collections]
    assert dots == [[[0.9, -1.0], [0.5, -2.0]], [[0.2, -1.5]]]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ['out_1', 'out_2']
    table = table_of(trails)
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()]
    assert ['out_1', '100', '0.5', '-2', '-1.5'] in rows


def test_the_best_layer_is_the_last_checkpoints():
    late = {'a': dict(alignment=0.5, uniformity=-2.0), 'b': dict(alignment=0.1, uniformity=-1.0)}
    early = {'b': dict(alignment=0.1, uniformity=-3.0)}
    results = {
        'late.pth': {'step': 200, 'layers': late},
        'early.pth': {'step': 100, 'layers': early},
    }
    trails = trails_of(results, ['a', 'b', 'c'])
    assert [point.step for point in trails['b']] == ['100', '200']
    assert best_of(trails).layer == 'a'
    # A layer that was only measured before does not count.
    results['early.pth']['layers'] = {'c': dict(alignment=0.1, uniformity=-9.0)}
    assert best_of(trails_of(results, ['a', 'b', 'c'])).layer == 'a'
