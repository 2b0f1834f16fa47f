import json
from dataclasses import asdict

import pytest
from generation_images import cube, draw_colors, use_color_networks
from tiny_addp import SIZES, tiny_addp

from mmaddp.diffusion import ADDPSampler
from mmaddp.evaluation.generation import GenerationMetrics
from mmaddp.experiments import generation_metrics
from mmaddp.experiments.generation_metrics import (
    evaluate_samplers,
    lines_over,
    metrics_table,
    sampler_grid,
    sampler_name,
)
from mmaddp.utils import UserError

pytest.importorskip('torch_fidelity')


TOKENS = SIZES['num_patches']
SIDE = 16 * int(TOKENS**0.5)


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    use_color_networks(monkeypatch)
    real = draw_colors(tmp_path / 'real', cube((100, 120, 90), (20, 30, 40)), size=(SIDE, SIDE))
    return GenerationMetrics(real, cache_dir=tmp_path / 'cache', num_workers=0)


@pytest.fixture(scope='module')
def model():
    return tiny_addp()


def cells(table):
    """The cells of a table's lines."""
    return [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()]


def evaluate(model, samplers, metrics, folder, **options):
    options = {'num_images': 12, **options}
    return evaluate_samplers(model, samplers, metrics, folder, **options)


def by_steps(*steps):
    """Values of the steps, for :func:`sampler_grid`."""
    return [dict(steps=value) for value in steps]


def test_grid_has_every_combination_once(model):
    temperatures = [dict(temperature=6.0), dict(temperature=2.0)]
    temperatures.append(dict(temperature=6.0, decaying=False))
    schedules = [dict(schedule='linear'), dict(schedule='cosine')]
    shares = [dict(top_p=1.0), dict(top_p=0.9)]
    grid = sampler_grid(model, schedules, temperatures, shares, by_steps(5, 10, 5))
    assert len(grid) == len(set(grid)) == 2 * 2 * 3 * 2
    assert ADDPSampler(10, 'cosine', 6.0, False, 0.9) in grid
    assert len({sampler_name(sampler) for sampler in grid}) == len(grid)
    assert sampler_name(grid[0]) == 'steps-5_schedule-linear_temperature-6-decaying_top-p-1'
    with pytest.raises(UserError, match="schedule='sine' is none of"):
        sampler_grid(model, [dict(schedule='sine')])
    with pytest.raises(UserError, match='eta: ADDPSampler has the settings steps, schedule'):
        sampler_grid(model, [dict(eta=1.0)])


def test_each_sampler_has_its_images_and_figures(model, metrics, tmp_path, monkeypatch):
    samplers = sampler_grid(
        model, [dict(temperature=6.0), dict(temperature=2.0, decaying=False)], by_steps(1, 2)
    )
    rows = evaluate(model, samplers, metrics, tmp_path / 'out')
    folders = sorted((tmp_path / 'out/images').iterdir())
    assert [len([*folder.glob('*.png')]) for folder in folders] == [12] * 4
    assert [row['settings']['steps'] for row in rows] == [1, 2, 1, 2]
    for row in rows:
        assert row['fid'] == pytest.approx(metrics(row['folder'])['fid'])
    table = (tmp_path / 'out/results.md').read_text()
    assert [row[:4] for row in cells(table)[2:6]] == [
        ['1', 'cosine', '6 t/T', '1'],
        ['2', 'cosine', '6 t/T', '1'],
        ['1', 'cosine', '2', '1'],
        ['2', 'cosine', '2', '1'],
    ]
    assert 'note: distances of fewer than 2,049 images' in table
    assert (tmp_path / 'out/results.png').read_bytes().startswith(b'\x89PNG')


def test_interrupted_comparison_goes_on(model, metrics, tmp_path, monkeypatch):
    samplers = sampler_grid(model, by_steps(1, 2, 4))
    monkeypatch.setattr(generation_metrics, 'write_report', lambda _: None)
    whole = evaluate(model, samplers[1:2], metrics, tmp_path / 'whole')
    generate_folder, generated = generation_metrics.generate_folder, []

    def stop_in_the_second(model, sampler, folder, num_images, *rest):
        generated.append(sampler.steps)
        if len(generated) == 2:
            generate_folder(model, sampler, folder, 5, *rest)
            raise KeyboardInterrupt
        generate_folder(model, sampler, folder, num_images, *rest)

    monkeypatch.setattr(generation_metrics, 'generate_folder', stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, samplers, metrics, tmp_path / 'out')
    rows = evaluate(model, samplers, metrics, tmp_path / 'out')
    assert generated == [1, 2, 2, 4]
    assert rows[1]['fid'] == pytest.approx(whole[0]['fid'], rel=1e-6)
    further = sampler_grid(model, by_steps(2, 3))
    assert len(evaluate(model, further, metrics, tmp_path / 'out')) == 4
    assert generated == [1, 2, 2, 4, 3]


def test_results_of_another_run_are_kept(model, metrics, tmp_path, monkeypatch):
    monkeypatch.setattr(generation_metrics, 'write_report', lambda _: None)
    samplers = sampler_grid(model, by_steps(1))
    evaluate(model, samplers, metrics, tmp_path)
    before = (tmp_path / 'results.json').read_bytes()
    with pytest.raises(
        UserError, match=r'results of seed 0, not 1, num_images 12, not 13: give another'
    ):
        evaluate(model, samplers, metrics, tmp_path, seed=1, num_images=13)
    with pytest.raises(UserError, match='results of another weights'):
        evaluate(tiny_addp(seed=1), samplers, metrics, tmp_path)
    assert (tmp_path / 'results.json').read_bytes() == before
    (tmp_path / 'results.json').write_text(json.dumps([]))
    with pytest.raises(UserError, match='not a results file of mmaddp'):
        evaluate(model, samplers, metrics, tmp_path)


def test_nothing_is_generated_that_could_not_be_measured(model, metrics, tmp_path):
    samplers = sampler_grid(model, by_steps(1))
    with pytest.raises(UserError, match='--num-images: 9 images, 10 or more are needed'):
        evaluate(model, samplers, metrics, tmp_path / 'out', num_images=9)
    too_many = sampler_grid(model, by_steps(1, TOKENS + 1))
    with pytest.raises(UserError, match=rf'steps={TOKENS + 1}: must be in \[1, {TOKENS}\]'):
        evaluate(model, too_many, metrics, tmp_path / 'out')
    real = draw_colors(tmp_path / 'small', cube((100, 120, 90), (20, 30, 40)))
    small = GenerationMetrics(real, cache_dir=tmp_path / 'cache')
    with pytest.raises(UserError, match=rf'have 8 x 8: give --reference-size {SIDE}'):
        evaluate(model, samplers, small, tmp_path / 'out')
    assert not (tmp_path / 'out/images').exists()


def result(fid=10.0, images=50000, **settings):
    return {
        'settings': asdict(ADDPSampler(**settings)),
        'fid': fid,
        'inception_score': 100.125,
        'precision': None,
        'recall': 0.5,
        'num_images': images,
        'num_reference': None,
    }


def test_table_has_a_dash_for_what_is_not_known():
    table = metrics_table([result(steps=5, temperature=2.0, decaying=False)])
    assert cells(table)[-1] == [
        '5',
        'cosine',
        '2',
        '1',
        '10.00',
        '100.12',
        '-',
        '0.500',
        '50000',
        '-',
    ]


def test_few_images_are_noted():
    assert 'note: distances of fewer than 2,049' in metrics_table([result(), result(images=2048)])


def test_static_and_decaying_temperatures_are_a_line_each():
    results = [
        result(temperature=float(temperature), decaying=decaying)
        for temperature in (2, 6, 20)
        for decaying in (True, False)
    ]
    lines = lines_over('temperature', results)
    assert [len(line) for line in lines.values()] == [3, 3]
    assert len(lines_over('steps', results)) == 6
