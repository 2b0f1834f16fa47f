"""Comparisons: what is run, what the page says, and what is refused; trainings are stand-ins."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_comparison import write_comparison, write_spec
from tiny_ddae import ddae, tiny_ddae

from mmaddp.engine.hooks.finite_loss_hook import NotFiniteError
from mmaddp.experiments import comparison
from mmaddp.experiments.comparison import read_comparison
from mmaddp.experiments.comparison_page import plot_comparison, write_tables
from mmaddp.experiments.report_card import write_card
from mmaddp.experiments.results import ResultsFolder
from mmaddp.utils import UserError

# By config and seed: what a training of it would measure.
# Student's t with one degree of freedom: 63 -+ 12.706 * sqrt(8 / 2).
OVER_SEEDS = '[37.59, 88.41]'
SCORES = {('ddae', 0): 61.0, ('ddae', 1): 65.0, ('scratch', 0): 52.5, ('scratch', 1): 50.5}
CELL = dict(
    encoder='mmaddp.DDAEUNet',
    settings=dict(out_blocks=['out_2'], time=0.011),
    channels=32,
    stride=1,
    layer='out_2',
    level=11,
    metrics=dict(accuracy=40.0),
)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_comparison(tmp_path_factory.mktemp('comparison')).parent


@pytest.fixture
def spec(files, tmp_path):
    """The file that says what is compared, and beside it an encoder of its own."""
    shutil.copy(files / 'encoder.pth', tmp_path)
    text = (files / 'compare.py').read_text()
    text = text.replace(str(files / 'encoder.pth'), str(tmp_path / 'encoder.pth'))
    (tmp_path / 'compare.py').write_text(text)
    return tmp_path / 'compare.py'


@pytest.fixture(autouse=True)
def _no_collection(monkeypatch):
    """Stand-ins leave no memory behind."""
    monkeypatch.setattr('mmaddp.experiments.sweep.gc.collect', int)


class Trainer:
    """Notes what it is given to train, and gives the scores."""

    def __init__(self, fails_at=None, diverges_at=None):
        self.configs, self.fails_at, self.diverges_at = [], fails_at, diverges_at

    def __call__(self, config):
        task, method, seed = config.work_dir.split('/')[-3:]
        self.configs.append((task, method, config))
        if len(self.configs) == self.fails_at:
            raise KeyboardInterrupt
        if len(self.configs) == self.diverges_at:
            raise UserError('the loss is nan') from NotFiniteError()
        if task == 'probe':
            with open(f'{config.work_dir}/best_cell.json', 'w') as file:
                json.dump(CELL, file)
            return {'accuracy/best': CELL['metrics']['accuracy']}
        return {'accuracy/top1': SCORES[method, int(seed[-1])]}


def run(spec, trainer, **chosen):
    read = read_comparison(spec)
    report = partial(write_tables, read)
    comparison.compare(read, spec.parent / 'out', read.choose(**chosen), report, trainer)
    return (spec.parent / 'out/comparison.md').read_text()


def rows(page, heading):
    """The cells of a table's lines by the method in the first of them."""
    lines = page.split(f'# {heading}\n')[1].split('\n#')[0].splitlines()
    cells = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines if '|' in line]
    return {line[0]: line[1:] for line in cells[2:]}


def change(spec, key, value):
    config = Config.fromfile(spec)
    config.merge_from_dict({key: value})
    write_spec(config.to_dict(), spec)


def test_the_page(spec):
    page = run(spec, Trainer())
    assert rows(page, 'Two encoders') == {
        'DDAE': ['40.00 [40.00, 40.00]', f'63.00 {OVER_SEEDS}'],
        'From scratch': ['-', '51.50 [38.79, 64.21]'],
    }
    # 20 iterations of 4 images; the network is cut behind the block that probed best.
    mean, seeds, size, flops, images, budget, protocol = rows(page, 'Fine-tuning')['DDAE']
    assert (mean, seeds) == (f'63.00 {OVER_SEEDS}', '61.00, 65.00')
    assert (images, budget) == ('80', 'epochs: 1, batch size: 4')
    assert float(flops) > 0
    # One protocol: the encoder, its layer and its weights are no part of it.
    assert rows(page, 'Fine-tuning')['From scratch'][-1] == protocol
    assert len(protocol) == 8
    whole = sum(p.numel() for p in tiny_ddae(ddae()).network.parameters())
    assert rows(page, 'Linear probe')['DDAE'][2] == f'{whole / 1e6:.2f}'
    assert float(size) < whole / 1e6
    assert rows(page, 'Fine-tuning')['From scratch'][4] == '-'
    numbers = json.loads((spec.parent / 'out/comparison.json').read_text())
    summary = numbers['tasks']['cls'][0]['summary']['top-1']
    assert summary['mean'] == 63
    assert summary['images'] == 0
    latex = (spec.parent / 'out/comparison.tex').read_text()
    assert r'From scratch & -- & 51.50 [38.79, 64.21] \\' in latex


def test_encoders_start_where_the_file_says(spec):
    trainer = Trainer()
    run(spec, trainer, seeds=[1])
    probe, tuned, scratch = (config for _, _, config in trainer.configs)
    encoder = str(spec.parent / 'encoder.pth')
    assert probe.model.checkpoint == encoder
    assert tuned.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=encoder)
    assert tuned.model.backbone.out_blocks == ['out_2']
    assert scratch.model.backbone.init_cfg is None
    assert scratch.model.backbone.out_blocks == ['out_4']
    assert {config.randomness.seed for _, _, config in trainer.configs} == {1}
    assert tuned.train_cfg.max_epochs == 1


def test_what_has_ended_is_not_run_again(spec):
    with pytest.raises(KeyboardInterrupt):
        run(spec, Trainer(fails_at=3))
    again = Trainer()
    page = run(spec, again)
    # Of six trainings two had ended.
    assert len(again.configs) == 4
    assert rows(page, 'Fine-tuning')['From scratch'][1] == '52.50, 50.50'
    last = Trainer()
    run(spec, last)
    assert not last.configs


def test_parts_of_a_comparison(spec):
    trainer = Trainer()
    page = run(spec, trainer, tasks=['cls'], methods=['scratch'], seeds=[0])
    assert [(task, method) for task, method, _ in trainer.configs] == [('cls', 'scratch')]
    assert rows(page, 'Two encoders') == {
        'DDAE': ['-', '-'],
        'From scratch': ['-', '52.50'],
    }


def test_a_cell_that_failed_at_once_may_be_corrected(spec):
    def fail(config):
        raise UserError('no images')

    with pytest.raises(UserError, match='no images'):
        run(spec, fail, tasks=['cls'], methods=['scratch'])
    change(spec, 'methods.scratch.cls.options', {'optim_wrapper.optimizer.lr': 0.5})
    run(spec, Trainer(), tasks=['cls'], methods=['scratch'])
    # Its result counts: it is not mixed with those of yet another config.
    change(spec, 'methods.scratch.cls.options', {'optim_wrapper.optimizer.lr': 0.25})
    with pytest.raises(UserError, match='results of another config of cls/scratch/seed-0'):
        run(spec, Trainer(), tasks=['cls'], methods=['scratch'])


def test_another_seed_or_method_may_come_later(spec):
    run(spec, Trainer())
    change(spec, 'seeds', [0, 1, 2])
    trainer = Trainer()
    SCORES['scratch', 2] = 53.0
    page = run(spec, trainer, methods=['scratch'])
    assert len(trainer.configs) == 1
    assert rows(page, 'Fine-tuning')['From scratch'][1] == '52.50, 50.50, 53.00'


def test_a_training_that_diverges_is_told(spec):
    page = run(spec, Trainer(diverges_at=2), methods=['ddae'])
    assert rows(page, 'Fine-tuning')['DDAE'][1] == '65.00, seed 0 diverged'


def test_other_encoders_are_not_mixed(spec):
    run(spec, Trainer(), methods=['ddae'], tasks=['probe'], seeds=[0])
    state = tiny_ddae(ddae(), seed=21).state_dict()
    torch.save({'meta': {'iter': 20}, 'state_dict': state}, spec.parent / 'encoder.pth')
    # A process of its own would hash the file anew.
    comparison.file_digest.cache_clear()
    with pytest.raises(UserError, match='another encoder of probe/ddae/seed-0: give another'):
        run(spec, Trainer(), methods=['ddae'], tasks=['probe'], seeds=[0])


@pytest.mark.parametrize(
    ('chosen', 'message'),
    [
        (dict(methods=['mae']), "--methods='mae' is none of 'ddae', 'scratch'"),
        (dict(tasks=['depth']), "--tasks='depth' is none of 'probe', 'cls'"),
        (dict(seeds=[7]), '--seeds=7 is none of 0, 1'),
        (
            dict(tasks=['cls']),
            'needs the best cell of probe/ddae/seed-0, .* --tasks probe --methods ddae',
        ),
    ],
)
def test_what_is_not_there_is_one_line(spec, chosen, message):
    with pytest.raises(UserError, match=message):
        run(spec, Trainer(), **chosen)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        (
            'methods.ddae.cls.checkpint',
            'x',
            "methods.ddae.cls: .*unexpected keyword argument 'checkpint'",
        ),
        ('methods.ddae.depth', {}, "methods.ddae: task='depth' is none of 'probe', 'cls'"),
        ('methods.ddae.cls', 'x.py', 'methods.ddae.cls: .* must be a mapping'),
        (
            'methods.ddae.probe',
            {'_delete_': True},
            "methods.ddae.probe: .*missing .* argument: 'config'",
        ),
        ('methods.ddae.cls.best_cell', 'mae', "best_cell='mae' is none of None, 'ddae'"),
    ],
)
def test_a_wrong_file_is_one_line(spec, key, value, message):
    change(spec, key, value)
    with pytest.raises(UserError, match=message):
        read_comparison(spec)


def test_a_file_that_does_not_run_is_one_line(tmp_path):
    (tmp_path / 'spec.py').write_text("steps = int('abc')")
    with pytest.raises(UserError, match=r'^\S*spec\.py: ValueError: .*abc'):
        read_comparison(tmp_path / 'spec.py')
    (tmp_path / 'spec.py').write_text("title = 'a config of another kind'")
    with pytest.raises(UserError, match=r'spec\.py: has no tasks'):
        read_comparison(tmp_path / 'spec.py')


def test_a_missing_encoder_names_the_command(files, spec):
    (spec.parent / 'encoder.pth').unlink()
    command = rf'python tools/train.py {files}/pretrain.py --work-dir {spec.parent}$'
    trainer = Trainer()
    with pytest.raises(UserError, match=command):
        run(spec, trainer)
    assert not trainer.configs


def test_cells_are_shared_by_processes(spec):
    """A cell that another process runs is passed over; what it has run is not repeated."""
    read, trainer = read_comparison(spec), Trainer()
    folder = comparison.ResultsFolder(spec.parent / 'out')
    with folder.claim('cls/scratch/seed-0'):
        run(spec, trainer, methods=['scratch'])
    assert [config.randomness.seed for _, _, config in trainer.configs] == [1]
    run(spec, trainer, methods=['scratch'])
    assert [config.randomness.seed for _, _, config in trainer.configs] == [1, 0]
    assert list(folder.results) == ['cls/scratch/seed-1', 'cls/scratch/seed-0']
    assert len(read.choose()) == 6


def test_a_cell_waits_for_the_probe_that_another_process_runs(spec):
    trainer, folder = Trainer(), comparison.ResultsFolder(spec.parent / 'out')
    with folder.claim('probe/ddae/seed-0'):
        run(spec, trainer, methods=['ddae'], seeds=[0])
    assert not trainer.configs
    run(spec, trainer, methods=['ddae'], seeds=[0])
    assert [task for task, _, _ in trainer.configs] == ['probe', 'cls']


def test_the_plot_has_the_mean_and_the_interval_of_each_method(spec):
    run(spec, Trainer())
    numbers = json.loads((spec.parent / 'out/comparison.json').read_text())['tasks']
    probe, tuning = plot_comparison(read_comparison(spec), numbers).axes
    means = [line.get_xdata()[0] for line in tuning.lines if line.get_marker() == 'o']
    assert means == [63.0, 51.5]
    # The interval is a line through the mean, at the height of the method.
    interval = tuning.lines[1]
    assert interval.get_xdata() == pytest.approx([37.59, 88.41], abs=0.01)
    assert list(interval.get_ydata()) == [0, 0]
    assert [label.get_text() for label in tuning.get_yticklabels()] == ['DDAE', 'From scratch']
    assert probe.get_title() == 'Linear probe\ntop-1'


class Evaluated(Trainer):
    """Also leaves what the evaluation found on each of 400 images; ``shift`` by method."""

    def __init__(self, **shifts):
        super().__init__()
        self.shifts = shifts

    def __call__(self, config):
        self.configs.append(config)
        parts = Path(config.work_dir).parts
        method, seed = parts[parts.index('cls') + 1], parts[-1]
        luck = np.random.default_rng(int(seed[-1])).random(400)
        correct = luck < 0.5 + self.shifts.get(method, 0)
        arrays = dict(correct=correct, label=np.zeros(400), images=400, prefix='accuracy')
        np.savez(config.val_evaluator.file, kind='top1', **arrays)
        return {'accuracy/top1': 100 * correct.mean()}


def test_only_a_difference_is_found(spec):
    change(spec, 'methods.same', Config.fromfile(spec).methods.scratch.to_dict())
    change(spec, 'methods.better', Config.fromfile(spec).methods.scratch.to_dict())
    change(spec, 'baseline', 'scratch')
    change(spec, 'seeds', [0, 1, 2])
    run(spec, Evaluated(better=0.2), tasks=['cls'], methods=['scratch', 'same', 'better'])
    tuned = json.loads((spec.parent / 'out/comparison.json').read_text())['tasks']['cls']
    found = {row['method']: row for row in tuned}
    test = found['same']['test']
    assert (test['difference'], test['low'], test['high'], test['p']) == (0, 0, 0, 1)
    test = found['better']['test']
    assert test['low'] < 20 < test['high']
    assert test['p'] <= test['p_holm'] == pytest.approx(min(1, 2 * test['p']))
    assert test['p_holm'] < 0.01
    assert found['scratch']['test'] is None
    assert found['better']['summary']['top-1']['images'] == 400
    page = write_card(read_comparison(spec), ResultsFolder(spec.parent / 'out')).read_text()
    assert page.count('▲') == 2
    assert 'http' not in page.split('</style>')[1]


def test_a_method_is_tested_against_its_own_baseline(spec):
    row = Config.fromfile(spec).methods.scratch.to_dict()
    change(spec, 'methods.weak', dict(row, title='Weak'))
    change(spec, 'methods.tuned', dict(row, baseline='weak'))
    change(spec, 'methods.same', dict(row, baseline='scratch'))
    change(spec, 'seeds', [0, 1, 2])
    methods = ['scratch', 'weak', 'tuned', 'same']
    page = run(spec, Evaluated(weak=-0.2), tasks=['cls'], methods=methods)
    tuned = json.loads((spec.parent / 'out/comparison.json').read_text())['tasks']['cls']
    found = {row['method']: row['test'] for row in tuned}
    assert found['scratch'] is found['weak'] is None
    assert (found['tuned']['baseline'], found['same']['baseline']) == ('weak', 'scratch')
    assert found['tuned']['difference'] == pytest.approx(20, abs=4)
    assert found['same']['difference'] == 0
    table = page.split('## Fine-tuning\n\n')[1].split('\n\n')[0]
    head, _, *rows = (line.strip('| ').split('|') for line in table.splitlines())
    place = [cell.strip() for cell in head].index('baseline')
    assert sum(row[place].strip() == 'Weak' for row in rows) == 1


def test_an_unknown_baseline_of_a_method_is_refused(spec):
    change(spec, 'methods.scratch.baseline', 'nothing')
    with pytest.raises(UserError, match=r'methods\.scratch\.baseline.*nothing.*scratch'):
        read_comparison(spec)


def test_two_seeds_are_described_and_not_tested(spec):
    change(spec, 'methods.better', Config.fromfile(spec).methods.scratch.to_dict())
    change(spec, 'baseline', 'scratch')
    page = run(spec, Evaluated(better=0.2), tasks=['cls'], methods=['scratch', 'better'])
    numbers = json.loads((spec.parent / 'out/comparison.json').read_text())['tasks']['cls']
    (test,) = (row['test'] for row in numbers if row['test'])
    assert test['low'] < 20 < test['high']
    assert test['p'] is test['p_holm'] is None
    assert '▲ and' in page
    assert page.count('▲') == 1


def test_parts_of_the_labels_are_columns_of_their_own(spec):
    change(spec, 'tasks.cls.labels', [0.4, 1])
    trainer = Evaluated()
    page = run(spec, trainer, tasks=['cls'], methods=['scratch'])
    assert [config.get('labels') for config in trainer.configs] == [0.4, None] * 2
    assert (spec.parent / 'out/cls/scratch/labels-0.4/seed-1/protocol.json').is_file()
    assert 'Fine-tuning: top-1, 40 % of the labels' in page


def test_other_protocols_share_no_table(spec):
    change(spec, 'methods.scratch.cls.options', {'train_cfg.max_epochs': 2})
    change(spec, 'methods.ddae.cls.best_cell', None)
    trainer = Trainer()
    message = r"tasks.cls: ddae and scratch differ in schedule \(1 and 2\): .*name 'schedule' in"
    with pytest.raises(UserError, match=message):
        run(spec, trainer)
    assert not trainer.configs
    change(spec, 'tasks.cls.may_differ', ['schedule'])
    page = run(spec, trainer, tasks=['cls'])
    assert 'The protocols of the rows may differ in: schedule.' in page
    table = rows(page, 'Fine-tuning')
    assert table['DDAE'][-1] != table['From scratch'][-1]
