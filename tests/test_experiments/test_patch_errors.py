"""Figures 10 to 14 of DARL: the order as drawn, and the error of each patch."""

import json

import pytest
import torch
from mmengine.config import Config
from scripts import load_script
from tiny_darl import NOISE, darl, tiny_darl
from tiny_ddae import ddae
from tiny_runs import write_images

from mmaddp.experiments.patch_errors import PatchErrors, plot_error_map, plot_errors, plot_order
from mmaddp.utils import UserError

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=16),
    dict(type='PackInputs'),
]
NESTED = dict(order='nested-raster', block_size=2)
# Blocks of 2 x 2 in a grid of 4 x 4, one after the other: by hand.
ORDER = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]


@pytest.fixture
def tool(repository):
    return load_script(repository / 'tools/analysis_tools/patch_errors.py')


@pytest.fixture
def files(tmp_path):
    """Configs of three models on drawn images, and checkpoints of two."""
    images = str(write_images(tmp_path / 'images', size=16))
    data = dict(type='CustomDataset', data_root=images, pipeline=PIPELINE, with_label=False)
    models = {
        'raster': dict(),
        'nested': dict(backbone=NESTED),
        'noisy': dict(noise=NOISE),
    }
    for name, settings in models.items():
        config = dict(
            default_scope='mmpretrain',
            model=darl(**settings),
            train_dataloader=dict(dataset=data, batch_size=4),
        )
        Config(config).dump(tmp_path / f'{name}.py')
        state = tiny_darl(**settings).state_dict()
        torch.save({'state_dict': state}, tmp_path / f'{name}.pth')
    return tmp_path


def run(tool, files, name, *words):
    out = files / 'out' / name
    options = ['--work-dir', str(out), '--num-workers', '0', '--device', 'cpu']
    tool.main([str(files / f'{name}.py'), str(files / f'{name}.pth'), *options, *words])
    return json.loads((out / 'patch_errors.json').read_text())


def test_the_errors_are_those_of_the_loss(tool, files):
    found = run(tool, files, 'nested', '--batch-size', '4')
    assert (found['grid'], found['order']) == ([4, 4], ORDER)
    model = tiny_darl(backbone=NESTED)
    images = torch.stack([torch.as_tensor(image) for image in read_images(files)])
    batch = model.data_preprocessor({'inputs': images})['inputs']
    with torch.no_grad():
        z = model.encode(*model.embed(batch))
        expected = (model.decode(z) - model.clean_patches(batch)).square().mean((0, 2))
    assert found['errors'] == pytest.approx(expected.tolist(), rel=1e-4)
    assert sum(found['errors']) / 16 == pytest.approx(float(model.loss(batch)['loss']), rel=1e-4)
    # The curve follows the order of prediction.
    assert PatchErrors(**found).by_number[2] == found['errors'][4]


def read_images(files):
    from mmcv import imread

    # As MMCV reads them, BGR; 16 x 16 pixels need neither resize nor crop.
    return [imread(str(path)).transpose(2, 0, 1) for path in sorted(files.glob('images/*/*'))]


def test_images_and_curves_of_two_orders(tool, files, capsys):
    run(tool, files, 'raster')
    run(tool, files, 'nested', '--beside', str(files / 'out/raster'))
    names = {path.name for path in (files / 'out/nested').glob('*.png')}
    assert names == {'order.png', 'error_map.png', 'errors.png'}
    assert 'mean loss' in capsys.readouterr().out


def test_noise_is_that_of_the_seed(tool, files):
    first, again, other = (
        run(tool, files, 'noisy', '--seed', seed)['errors'] for seed in ('0', '0', '1')
    )
    assert first == again != other


def test_an_order_needs_no_checkpoint(tool, files):
    out = files / 'drawn'
    tool.main([str(files / 'nested.py'), '--work-dir', str(out)])
    assert [path.name for path in out.iterdir()] == ['order.png']


def test_what_the_figures_show():
    results = PatchErrors([4, 4], ORDER, [float(index) for index in range(16)])
    (axis,) = plot_order([4, 4], ORDER).axes
    assert [text.get_position() for text in axis.texts[:3]] == [(0, 0), (1, 0), (0, 1)]
    assert plot_error_map(results).axes[0].images[0].get_array()[1, 2] == 6
    (line,) = plot_errors({'nested': results}).axes[0].lines
    assert list(line.get_xdata()) == list(range(1, 17))
    assert list(line.get_ydata()) == ORDER


def test_what_is_refused(tool, files):
    Config(dict(default_scope='mmpretrain', model=ddae())).dump(files / 'ddae.py')
    with pytest.raises(UserError, match=r'model.type is not mmaddp.DARL'):
        tool.main([str(files / 'ddae.py'), '--work-dir', str(files / 'out')])
    with pytest.raises(UserError, match=r'gone: has no patch_errors.json'):
        run(tool, files, 'raster', '--beside', str(files / 'gone'))
