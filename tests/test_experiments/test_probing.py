"""What a probe's accuracies become."""

import pytest
from mmengine.optim import build_optim_wrapper
from tiny_darl import darl
from tiny_ddae import UNET, ddae
from tiny_dense import VIT as DENSE_VIT
from tiny_dense import dense_probe
from tiny_probe import probe_config, tiny_probe

from mmaddp.engine.runs import complete_run
from mmaddp.experiments.probing import results_of, short_label

VIT = dict(type='mmaddp.DARLViT', arch=dict(embed_dims=16, num_layers=3, num_heads=2), img_size=16)

METRICS = ('rmse', 'abs_rel', 'd1')


def measured(**by_cell):
    return {f'accuracy/{cell}': value for cell, value in by_cell.items()}


def test_the_first_of_the_best_is_taken():
    probe = tiny_probe(VIT, pixels=16)
    results = results_of(probe, measured(block_1=25.0, block_2=75.0, block_3=75.0, pixels=90.0))
    assert results.best == dict(
        encoder='mmaddp.DARLViT',
        settings=dict(out_indices=[1]),
        channels=16,
        stride=None,
        layer='block_2',
        level=None,
        lr=None,
        metrics=dict(accuracy=75.0),
    )
    assert (results.scores, results.pixels) == ([[25.0], [75.0], [75.0]], 90.0)
    assert results.summary() == 'Best of DARLViT, random weights: block_2, 75.0% top-1'
    assert '**75.0**' in results.table().splitlines()[3]


def test_a_level_is_told_with_its_time():
    probe = tiny_probe(ddae(), layers=['out_2', 'out_3'], levels=[11, 500])
    metrics = {'out_2@11': 10.0, 'out_2@500': 40.0, 'out_3@11': 30.0, 'out_3@500': 20.0}
    results = results_of(probe, measured(**metrics))
    assert results.scores == [[10.0, 40.0], [30.0, 20.0]]
    settings = dict(results.best['settings'])
    assert settings.pop('process') == probe.encoder.process.identity
    assert settings == dict(out_blocks=['out_2'], time=0.5)
    assert results.summary().endswith('out_2 at noise level 500 (time 0.5), 40.0% top-1')
    header = ''.join(results.table().splitlines()[0].split())
    assert header == '|layer|level11|level500|'


@pytest.mark.parametrize(
    ('encoder', 'name', 'kind'),
    [
        (darl(), 'DARL', 'mmaddp.DARLViT'),
        (dict(UNET, out_blocks=['out_4'], time=0.011), 'DDAEUNet', 'mmaddp.DDAEUNet'),
    ],
)
def test_pretrainers_and_backbones_are_named(encoder, name, kind):
    probe = tiny_probe(encoder)
    results = results_of(probe, measured(**dict.fromkeys(probe.layers, 50.0)))
    assert (results.model, results.best['encoder']) == (name, kind)
    if name == 'DDAEUNet':
        assert results.best['settings'] == dict(out_blocks=['out_1'], time=0.011)


def test_joined_layers_have_short_labels():
    assert short_label('block_1') == 'block_1'
    assert short_label('block_1+block_2') == 'block_1+block_2'
    assert short_label('block_1+block_2+block_3+block_4') == 'block_1 … block_4'


def test_a_depth_grid_is_told_in_meters_and_ranked_by_the_least_error():
    head = dict(type='mmaddp.LinearDepth', num_bins=4)
    probe = dense_probe(head, DENSE_VIT, layers=['block_1', 'block_1+block_3'], lrs=[0.1, 0.01])
    rows = {'block_1:0.1': 2.0, 'block_1:0.01': 1.5, 'block_1+block_3:0.1': 1.25}
    rows['block_1+block_3:0.01'] = 3.0
    metrics = {f'{name}/{cell}': value for cell, value in rows.items() for name in METRICS}
    results = results_of(probe, metrics)
    assert (results.task, results.metric, results.rule) == ('linear depth', 'rmse', 'less')
    assert results.scores == [[1.5], [1.25]]
    # A backbone gives the last of the joined layers.
    assert (results.best['layer'], results.best['lr']) == ('block_1+block_3', 0.1)
    assert results.best['settings'] == dict(out_indices=[2])
    assert [cell['rmse'] for cell in results.cells] == list(rows.values())
    assert '**1.250**' in results.table()
    assert results.summary().endswith('block_1+block_3, learning rate 0.1, 1.250 rmse')


def test_each_head_has_its_learning_rate_in_any_tool(tmp_path):
    grid = dict(layers=['block_1'], lrs=[0.1, 0.001])
    config = complete_run(probe_config(tmp_path, tmp_path / 'run', VIT, **grid), None, 'probe')
    model = tiny_probe(VIT, **grid)
    groups = build_optim_wrapper(model, config.optim_wrapper).param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    found = {key: {rates[id(p)] for p in head.parameters()} for key, head in model.heads.items()}
    assert sorted(map(list, found.values())) == [[0.001], [0.1]]
