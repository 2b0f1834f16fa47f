"""The probing tool as users call it: its files, resuming, several processes, and its errors."""

import json

import pytest
import torch
from PIL import Image
from scripts import run_main
from tiny_darl import darl, tiny_darl
from tiny_ddae import ddae, tiny_ddae
from tiny_probe import probe_config
from tiny_processes import in_processes
from tiny_runs import last_checkpoint, write_images

from mmaddp.utils import UserError

LATENT = dict(
    type='mmaddp.DDAE',
    network=dict(
        type='mmaddp.DDAEDiT',
        arch=dict(embed_dims=16, num_layers=2, num_heads=2),
        input_size=4,
    ),
    process=dict(type='mmaddp.DDPM', time_input='index'),
    img_size=8,
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Images, encoders, and a config for each of them."""
    folder = tmp_path_factory.mktemp('probe')
    images = write_images(folder / 'images', per_class=4)
    for name, encoder, model, settings in (
        ('ddae', ddae(), tiny_ddae(ddae()), dict(levels=[1, 300], pixels=8)),
        ('darl', darl(), tiny_darl(), {}),
    ):
        torch.save(dict(state_dict=model.state_dict()), folder / f'{name}.pth')
        probe_config(images, folder / name, encoder, **settings).dump(folder / f'{name}.py')
    probe_config(images, folder / 'dit', LATENT, levels=[3]).dump(folder / 'dit.py')
    backbone = dict(darl()['backbone'], causal=True)
    probe_config(images, folder / 'backbone', backbone).dump(folder / 'backbone.py')
    return folder


@pytest.fixture(scope='module')
def tool(repository):
    """Calls the tool's main in this process."""

    def call(*words):
        run_main(repository / 'tools' / 'probe.py', [str(word) for word in words])

    return call


@pytest.fixture(scope='module')
def probed(folder, tool):
    tool(folder / 'ddae.py', folder / 'ddae.pth', '--work-dir', folder / 'whole')
    return folder / 'whole'


def test_the_grid_its_best_cell_table_and_image_are_written(probed):
    grid = json.loads((probed / 'grid.json').read_text())
    assert grid['layers'] == ['out_1', 'out_2', 'out_3', 'out_4']
    assert grid['levels'] == [1, 300]
    best = json.loads((probed / 'best_cell.json').read_text())
    row, column = grid['layers'].index(best['layer']), grid['levels'].index(best['level'])
    score = best['metrics']['accuracy']
    assert score == grid['scores'][row][column] == max(map(max, grid['scores']))
    assert (grid['task'], grid['metric'], grid['rule']) == (
        'linear classification',
        'accuracy',
        'greater',
    )
    time = {1: 0.001, 300: 0.3}[best['level']]
    assert best['settings'].pop('process')['type'] == 'mmaddp.DDPM'
    assert best['settings'] == dict(out_blocks=[best['layer']], time=time)
    assert (best['channels'], best['encoder']) == (32, 'mmaddp.DDAEUNet')
    # 12 images of plain colors.
    assert grid['pixels'] == 100
    table = (probed / 'grid.md').read_text()
    assert table.count('**') == 2
    assert 'Linear on raw pixels: 100.0' in table
    assert Image.open(probed / 'grid.png').size[0] > 300


def test_a_resumed_probe_ends_as_one_that_was_not_stopped(folder, probed, tool):
    work_dir = folder / 'resumed'
    words = (folder / 'ddae.py', folder / 'ddae.pth', '--work-dir', work_dir)
    tool(*words, '--cfg-options', 'train_cfg.max_epochs=1')
    tool(*words, '--resume')
    one, other = (last_checkpoint(path)['state_dict'] for path in (probed, work_dir))
    layers = [f'out_{number}' for number in range(1, 5)]
    cells = [f'{layer}@{level}' for layer in layers for level in (1, 300)] + ['pixels']
    assert set(one) == {
        f'heads.{cell}.linear.{name}' for cell in cells for name in ('weight', 'bias')
    }
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (work_dir / 'grid.json').read_text() == (probed / 'grid.json').read_text()
    with pytest.raises(UserError, match=r'holds results of layers None, not .*: give another'):
        tool(*words, '--resume', '--layers', 'out_1')


def test_two_processes_end_as_one_with_the_same_global_batch(folder, tool, repository):
    words = [str(folder / 'darl.py'), str(folder / 'darl.pth'), '--work-dir']
    tool(*words, folder / 'one')
    options = ['--launcher', 'pytorch', '--cfg-options', 'train_dataloader.batch_size=2']
    script = repository / 'tools' / 'probe.py'
    assert in_processes(2, run_main, script, [*words, str(folder / 'two'), *options]) == [0, 0]
    one, two = (last_checkpoint(folder / name)['state_dict'] for name in ('one', 'two'))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-4)
    grids = [json.loads((folder / name / 'grid.json').read_text()) for name in ('one', 'two')]
    assert grids[0]['scores'] == grids[1]['scores']


def test_random_weights_are_probed_by_layers_of_the_command_line(folder, tool, capsys):
    tool(folder / 'darl.py', 'random', '--layers', 'block_2', '--work-dir', folder / 'random')
    grid = json.loads((folder / 'random' / 'grid.json').read_text())
    assert (grid['checkpoint'], grid['layers'], grid['levels']) == ('random', ['block_2'], [None])
    assert grid['best']['settings'] == dict(out_indices=[1])
    assert grid['best']['encoder'] == 'mmaddp.DARLViT'
    assert 'Best of DARL, random weights: block_2' in capsys.readouterr().out


def test_a_backbone_is_probed_as_its_pretrainer(folder, tool):
    """DARL's backbone by itself, filled by a checkpoint of the pre-training."""
    for name in ('darl', 'backbone'):
        tool(folder / f'{name}.py', folder / 'darl.pth', '--work-dir', folder / f'{name}_alone')
    one, other = (
        last_checkpoint(folder / f'{name}_alone')['state_dict'] for name in ('darl', 'backbone')
    )
    assert all(torch.equal(one[name], other[name]) for name in one.keys() | other.keys())
    best = json.loads((folder / 'backbone_alone/best_cell.json').read_text())
    assert best['encoder'] == 'mmaddp.DARLViT'


@pytest.mark.parametrize(
    ('config', 'checkpoint', 'options', 'words'),
    [
        (
            'ddae',
            'ddae',
            ['--layers', 'out_7'],
            'out_7: the network has out_1, out_2, out_3, out_4',
        ),
        ('ddae', 'ddae', ['--levels', '1001'], 'noise level 1001: DDAE has the levels 1 to 1000'),
        ('darl', 'darl', ['--levels', '5'], 'noise level 5: DARL has no noise levels'),
        ('dit', 'random', [], 'sees images through an autoencoder: set autoencoder='),
        ('ddae', 'darl', [], 'darl.pth: holds DARLViT, the config builds DDAEUNet'),
        ('darl', 'ddae', [], 'ddae.pth: .*DDAEUNet'),
        ('ddae', 'gone', [], 'checkpoint: .*gone.pth does not exist: correct its path'),
    ],
)
def test_errors_are_one_line(folder, tool, config, checkpoint, options, words):
    checkpoint = checkpoint if checkpoint == 'random' else folder / f'{checkpoint}.pth'
    with pytest.raises(UserError, match=words) as error:
        tool(folder / f'{config}.py', checkpoint, '--work-dir', folder / 'error', *options)
    assert '\n' not in str(error.value)


def test_another_config_is_refused(repository, folder, tool):
    config = repository / 'configs/cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px.py'
    with pytest.raises(UserError, match=r'model\.type is not mmaddp.GridProbe: take a config'):
        tool(config, folder / 'darl.pth')
