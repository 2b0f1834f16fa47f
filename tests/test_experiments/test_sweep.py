"""Sweeps: their grids, their tables, and that a killed one ends as one that never was."""

import csv
import json
import signal
import time
from pathlib import Path

import pytest
from mmengine.config import Config
from sweep_runs import run_sweep
from tiny_runs import classifier, in_child, write_images

from mmaddp.engine.resumption import PreemptionHook
from mmaddp.experiments.grid import Cell, Grid, parse_axis, read_grid, read_sweep
from mmaddp.experiments.results import ResultsFolder
from mmaddp.experiments.sweep import DIVERGED, DONE, Recipe, SweepFolder, run_open, sweep
from mmaddp.utils import UserError

LR = 'optim_wrapper.optimizer.lr'
# Twelve iterations in each cell, saved every third.
GRID = [f'{LR}=1e-3,1e-2', 'model.backbone.drop_path_rate=0.3']


@pytest.fixture(scope='module')
def config_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('sweep')
    images = write_images(folder / 'images')
    config = classifier(images, folder / 'run', by_epoch=False)
    config.train_cfg.val_interval = 12
    config.default_hooks.finite_loss = dict(type='mmaddp.FiniteLossHook')
    config.custom_hooks = config.custom_hooks[:1]
    config.pop('work_dir')
    config.dump(folder / 'tiny.py')
    return folder / 'tiny.py'


@pytest.fixture(scope='module')
def uninterrupted(config_file, tmp_path_factory) -> Path:
    work_dir = tmp_path_factory.mktemp('uninterrupted') / 'sweep'
    assert in_child(run_sweep, config_file, work_dir, GRID) == 0
    return work_dir


def test_every_cell_is_trained_and_in_the_table(uninterrupted):
    with open(uninterrupted / 'results.csv') as file:
        rows = list(csv.DictReader(file))
    assert [(row[LR], row['model.backbone.drop_path_rate']) for row in rows] == [
        ('0.001', '0.3'),
        ('0.01', '0.3'),
    ]
    assert {row['state'] for row in rows} == {'done'}
    for row in rows:
        folder = uninterrupted / 'cells' / f'{int(row["cell"]):03d}'
        results = json.loads((uninterrupted / 'results.json').read_text())
        metrics = results[f'cells/{folder.name}']['metrics']
        assert float(row['accuracy/top1']) == metrics['accuracy/top1']
        (log,) = folder.glob('*/vis_data/scalars.json')
        logged = [json.loads(line) for line in log.read_text().splitlines()]
        assert logged[-1]['accuracy/top1'] == metrics['accuracy/top1']
        (dumped,) = folder.glob('*/vis_data/config.py')
        assert Config.fromfile(dumped).optim_wrapper.optimizer.lr == float(row[LR])
        assert not list(folder.glob('*.pth'))


def test_the_best_cell_is_written_for_the_final_run(uninterrupted):
    with open(uninterrupted / 'results.csv') as file:
        best = max(csv.DictReader(file), key=lambda row: float(row['accuracy/top1']))
    config = Config.fromfile(uninterrupted / 'best.py')
    assert config.optim_wrapper.optimizer.lr == float(best[LR])
    drop_path_rate = config.model.backbone.drop_path_rate
    assert drop_path_rate == float(best['model.backbone.drop_path_rate'])
    first = (uninterrupted / 'best.py').read_text().splitlines()[0]
    assert first.startswith(f'# Best is cell {best["cell"]}, accuracy/top1 ')


def test_killed_in_the_middle_of_a_cell(config_file, uninterrupted, tmp_path):
    work_dir = tmp_path / 'sweep'
    killed = in_child(run_sweep, config_file, work_dir, GRID, ('002', 8))
    assert killed == -signal.SIGKILL
    first = work_dir / 'cells/001'
    assert list(ResultsFolder(work_dir).results) == ['cells/001']
    assert [path.name for path in (work_dir / 'cells/002').glob('*.pth')] == ['iter_6.pth']

    time.sleep(1)  # MMEngine names a run's folder by the second
    assert in_child(run_sweep, config_file, work_dir, GRID) == 0
    for name in ('results.csv', 'results.md'):
        assert (work_dir / name).read_text() == (uninterrupted / name).read_text()
    # What had ended was not repeated, what had begun went on in the middle.
    assert len(list(first.glob('*/vis_data/config.py'))) == 1
    assert len(list((work_dir / 'cells/002').glob('*/vis_data/config.py'))) == 2
    assert (work_dir / 'best.py').read_text() == (uninterrupted / 'best.py').read_text()


def test_a_cell_that_diverges_is_a_result(config_file, tmp_path):
    assert in_child(run_sweep, config_file, tmp_path / 'sweep', [f'{LR}=1e-3,1e30']) == 0
    text = (tmp_path / 'sweep/results.csv').read_text().splitlines()
    assert text[1].endswith(',done')
    assert text[2] == '2,1e+30,,diverged'


@pytest.mark.parametrize(
    ('grid', 'message'),
    [
        (['optim_wrapper.optimizer.lrr=1'], 'lrr: AdamW has no such key'),
        (['optim_wrapper.optimizer.lr'], 'give NAME=V1,V2'),
        (['=1,2'], 'give NAME=V1,V2'),
        ([f'{LR}=1,'], 'give NAME=V1,V2'),
        ([f'{LR}=1,1'], 'repeated values in'),
        ([], 'nothing to sweep: give --grid NAME=V1,V2'),
        (
            ['model.backbone.init_cfg.checkpoint=absent.pth,other.pth'],
            r'model\.backbone\.init_cfg\.checkpoint: absent\.pth does not exist',
        ),
    ],
)
def test_a_wrong_grid_is_one_line(config_file, tmp_path, grid, message):
    with pytest.raises(UserError, match=message) as error:
        sweep(Recipe(str(config_file)), read_sweep(str(config_file), grid)[1], tmp_path)
    assert '\n' not in str(error.value)


def test_a_wrong_option_of_the_final_run_is_told_before_the_first_cell(config_file, tmp_path):
    grid = Grid({LR: {'1': {LR: 1}}}, final={'train_dataloader.dataset.usee': 'all'})
    with pytest.raises(UserError, match='usee: CustomDataset has no such key'):
        sweep(Recipe(str(config_file)), grid, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_another_sweep_is_refused(config_file, uninterrupted):
    with pytest.raises(UserError, match='holds results of another axes: give another folder'):
        sweep(Recipe(str(config_file)), read_grid(GRID[:1]), uninterrupted)
    options = {'optim_wrapper.optimizer.weight_decay': 0.7}
    with pytest.raises(UserError, match='holds results of another config'):
        sweep(Recipe(str(config_file), options), read_grid(GRID), uninterrupted)


def test_values_are_literals_or_text():
    name, axis = parse_axis('a.b=1e-3,(2, 3),spatial,None,[4],0.5')
    values = [options[name] for options in axis.values()]
    assert (name, values) == ('a.b', [1e-3, (2, 3), 'spatial', None, [4], 0.5])


def test_a_grid_file_names_sets_of_options(tmp_path):
    (tmp_path / 'grid.py').write_text(
        "metric, rule = 'loss', 'less'\n"
        "grid = {'lr': [1, 2], 'augmentation': {'none': {}, 'strong': {'a.b': 1, 'c': [2]}}}\n"
        "final = {'use': 'all'}\n"
    )
    grid = read_grid([str(tmp_path / 'grid.py'), 'lr=3'])
    assert (grid.metric, grid.rule, grid.final) == ('loss', 'less', {'use': 'all'})
    assert grid.cells == [
        Cell(1, {'lr': '3', 'augmentation': 'none'}, {'lr': 3}),
        Cell(2, {'lr': '3', 'augmentation': 'strong'}, {'lr': 3, 'a.b': 1, 'c': [2]}),
    ]


def test_a_grid_file_names_its_config_and_variants(tmp_path):
    (tmp_path / 'grids').mkdir()
    path = tmp_path / 'grids/noise.py'
    path.write_text(
        "config = '../base.py'\nvariants = {'low': {'a.b': 1, 'c': 2}, 'as-it-is': {}}\n"
    )
    config, grid = read_sweep(str(path), ['lr=1,2'])
    assert Path(config).resolve() == tmp_path / 'base.py'
    assert [cell.labels['variant'] for cell in grid.cells] == ['low', 'low', 'as-it-is', 'as-it-is']
    assert grid.cells[1].options == {'a.b': 1, 'c': 2, 'lr': 2}
    path.write_text("config = '../base.py'")
    with pytest.raises(UserError, match='or a file with grid or variants'):
        read_sweep(str(path))


def end(folder, cell, score):
    folder.add(cell.key, {'state': DONE, 'metrics': {'loss': score}})


def test_the_best_is_by_the_rule_among_those_that_ended(tmp_path):
    scores = [3.0, 1.0, float('nan'), 1.0, None, None]
    axes = {'lr': {str(i): {'lr': i} for i in range(len(scores))}}
    for rule, best in (('greater', 1), ('less', 2)):
        folder = SweepFolder(tmp_path, Grid(axes, 'loss', rule))
        for cell, score in zip(folder.cells, scores[:4]):
            end(folder, cell, score)
        folder.add(folder.cells[4].key, {'state': DIVERGED, 'reason': 'loss is nan'})
        cell, score = folder.best()
        assert (cell.number, score) == (best, scores[best - 1])
        folder.write_tables()
        table = (tmp_path / 'results.md').read_text().splitlines()
        lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table]
        assert lines[0] == ['cell', 'lr', 'loss', 'state']
        assert lines[2][0] == str(best)
        assert lines[-1] == ['6', '5', '-', 'open']


def test_a_metric_that_was_not_validated_is_one_line(tmp_path):
    folder = SweepFolder(tmp_path, Grid({'lr': {'1': {'lr': 1}}}, 'accuracy/top5'))
    end(folder, folder.cells[0], 1.0)
    with pytest.raises(UserError, match="--metric='accuracy/top5' is none of 'loss'"):
        folder.best()


def test_what_another_process_runs_is_passed_over(tmp_path):
    run, folder = [], ResultsFolder(tmp_path)
    with ResultsFolder(tmp_path).claim('a'):
        run_open(folder, ['a', 'b'], lambda key, path: run.append(key) or {}, int)
    assert run == ['b']
    run_open(folder, ['a', 'b'], lambda key, path: run.append(key) or {}, int)
    assert run == ['b', 'a']


@pytest.fixture
def handlers():
    """Give the process its signal handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_after_the_last_iteration_ends_it_behind_the_cell(handlers, tmp_path, number):
    def run(key, path):
        with PreemptionHook().listening():
            signal.raise_signal(number)
        return {'loss': 1.0}

    folder = ResultsFolder(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_open(folder, ['a', 'b'], run, int)
    assert ended.value.code == 75
    assert 'a' in folder
    assert 'b' not in folder
    # Nothing is left to go on with.
    run_open(folder, ['b'], run, int)
    assert 'b' in folder
