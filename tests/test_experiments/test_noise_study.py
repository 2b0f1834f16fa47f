"""The noise-schedule study: figure 3's image, and a study of two cells on drawn images."""

import csv
import signal
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from sweep_runs import run_study
from tiny_runs import in_child, write_images

from mmaddp.experiments.noise_study import (
    noise_grid,
    percentile_levels,
    study_noise_schedules,
    write_heat_map,
)
from mmaddp.experiments.sweep import DONE, Recipe, SweepFolder
from mmaddp.utils import UserError

PRETRAINING = 'pretrain/darl/darl-diff_vit-toy_1xb64-3000i_cifar10-32px.py'
EVALUATION = 'cls/darl/darl-mse_vit-toy_linear-all-depths_1xb64-20e_cifar10-32px.py'
MSE = 'pretrain/darl/darl-mse_vit-toy_1xb64-3000i_cifar10-32px.py'


def test_colors_change_at_every_tenth_percentile():
    scores = np.arange(101.0).reshape(1, 101)
    assert np.allclose(percentile_levels(scores), np.arange(0, 101, 10))
    # Cells that are missing count for nothing, equal ones share a color.
    assert list(percentile_levels(np.array([[np.nan, 5.0, 5.0, 5.0]]))) == [4.5, 5.5]


def test_the_figure_is_written_from_what_has_ended(tmp_path):
    folder = SweepFolder(tmp_path, noise_grid([0.1, 1], [1], 'accuracy/top1', 'greater'))
    write_heat_map(folder)
    assert not (tmp_path / 'heat_map.png').exists()
    folder.add(folder.cells[0].key, {'state': DONE, 'metrics': {'accuracy/top1': 12.0}})
    write_heat_map(folder)
    with Image.open(tmp_path / 'heat_map.png') as image:
        assert image.format == 'PNG'
        assert len(image.convert('RGB').getcolors(1 << 20)) > 2


def test_a_schedule_that_is_none_is_one_line():
    with pytest.raises(UserError, match='must be above 0'):
        noise_grid([0.1], [-1.0], 'accuracy/top1', 'greater')


def test_mse_has_no_schedule(repository, tmp_path):
    recipes = [Recipe(str(repository / 'configs' / name)) for name in (MSE, EVALUATION)]
    grid = noise_grid([0.1], [1.0], 'accuracy/best', 'greater')
    with pytest.raises(UserError, match=r'model\.noise is not set'):
        study_noise_schedules(*recipes, grid, tmp_path)


def shrink(path: Path, out: Path) -> Path:
    """The small config for a second on drawn images: 8 iterations, or 2 epochs of 2."""
    config = Config.fromfile(path)
    probe = 'encoder' in config.model
    encoder = config.model.encoder if probe else config.model.backbone
    encoder.arch = dict(embed_dims=16, num_layers=2, num_heads=2)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if name in config:
            config[name].update(num_workers=0, persistent_workers=False, batch_size=8)
    if probe:
        config.train_cfg.update(max_epochs=2, val_interval=1)
        config.param_scheduler = config.param_scheduler[1:]
        config.param_scheduler[0].update(begin=0, end=2)
        config.default_hooks.checkpoint.interval = 1
    else:
        config.train_cfg.max_iters = 8
        config.param_scheduler = []
        config.custom_hooks = []
        config.default_hooks.checkpoint.interval = 4
    config.log_level = 'WARNING'
    config.dump(out)
    return out


@pytest.fixture
def configs(repository, tmp_path, monkeypatch):
    for split in ('train', 'test'):
        write_images(tmp_path / 'images' / split)
    monkeypatch.setenv('CIFAR10_DIR', str(tmp_path / 'images'))
    names = {PRETRAINING: 'pretraining.py', EVALUATION: 'evaluation.py'}
    return [shrink(repository / 'configs' / name, tmp_path / out) for name, out in names.items()]


def test_a_killed_study_goes_on(configs, tmp_path):
    work_dir = tmp_path / 'study'
    killed = in_child(run_study, configs, work_dir, ('001/evaluate', 3))
    assert killed == -signal.SIGKILL
    assert in_child(run_study, configs, work_dir) == 0

    with open(work_dir / 'results.csv') as file:
        rows = list(csv.DictReader(file))
    assert [(row['model.noise.a'], row['state']) for row in rows] == [
        ('0.1', 'done'),
        ('1.0', 'done'),
    ]
    assert all(0 <= float(row['accuracy/best']) <= 100 for row in rows)
    assert (work_dir / 'heat_map.png').is_file()
    for cell, a in (('001', 0.1), ('002', 1.0)):
        dumped = sorted((work_dir / 'cells' / cell / 'pretrain').glob('*/vis_data/config.py'))
        assert Config.fromfile(dumped[-1]).model.noise == dict(a=a, b=1.0)
        # Checkpoints of what has ended are gone.
        assert not list((work_dir / 'cells' / cell).glob('*/*.pth'))
    evaluated = sorted((work_dir / 'cells/002/evaluate').glob('*/vis_data/config.py'))
    encoder = Config.fromfile(evaluated[-1]).model.checkpoint
    assert encoder == str(work_dir / 'cells/002/pretrain/iter_8.pth')
    # The evaluation that was killed went on in its second epoch.
    assert len(list((work_dir / 'cells/001/evaluate').glob('*/vis_data/config.py'))) == 2
