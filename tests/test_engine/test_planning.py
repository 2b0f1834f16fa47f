"""The plan of a training beside what is known and what is measured."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tiny_runs import classifier
from torch import nn

from mmaddp.engine.planning import announce as announce_module
from mmaddp.engine.planning import cheapest, describe, find_device, make_plan, remedy
from mmaddp.engine.planning import plan as plan_module
from mmaddp.engine.planning.cuda import FusedAttention, cuda_kernels
from mmaddp.engine.planning.devices import GIB, Device
from mmaddp.engine.planning.ledger import Ledger
from mmaddp.engine.planning.plan import CONTEXT, count_steps, split_batches
from mmaddp.engine.planning.trace import Trace, trace
from mmaddp.engine.runs import AMP_WRAPPERS, clear_errors, load_config
from mmaddp.engine.synthetic_batches import synthetic_batch
from mmaddp.utils import UserError

GPU = Device('GPU', 24.0, 100, 50, 25, 1000)


def tiny(folder) -> Config:
    config = classifier(folder, folder)
    config.custom_hooks = []
    return config


@pytest.fixture
def config(tmp_path) -> Config:
    return tiny(tmp_path)


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
    return make_plan(tiny(tmp_path_factory.mktemp('run')), GPU)


@pytest.fixture
def traced(monkeypatch):
    """Steps of 1 GiB, and 1 GiB an image, of which mixed precision and recomputation save half."""

    def trace(config, batch_size):
        saved = [
            config.optim_wrapper.get('type') == 'AmpOptimWrapper',
            config.model.backbone.get('with_cp', False),
        ]
        activations = batch_size * GIB * 0.5 ** sum(saved)
        memory = {('weights', 'backbone'): GIB // 2, ('optimizer', 'backbone'): GIB // 2}
        memory['activations', 'backbone'] = activations
        return Trace({'backbone': 5}, Counter(memory), [], GIB // 2, GIB // 8, GIB // 4)

    monkeypatch.setattr(plan_module, 'trace', trace)


def parameters(plan) -> int:
    return sum(plan.parameters.values())


def test_weights_and_optimizer_hold_what_the_model_has(config, plan):
    """AdamW keeps two numbers for each parameter."""
    init_default_scope('mmpretrain')
    built = sum(p.numel() for p in MODELS.build(config.model).parameters())
    assert parameters(plan) == built
    assert set(plan.parameters) == {'backbone', 'head'}
    assert sum(plan.of_kind('weights').values()) == pytest.approx(4 * built, rel=0.02)
    assert sum(plan.of_kind('optimizer').values()) == pytest.approx(8 * built, rel=0.02)


def test_a_moving_average_is_a_second_copy_of_the_weights(config, plan):
    config.custom_hooks = [dict(type='EMAHook')]
    averaged = make_plan(config, GPU)
    assert sum(averaged.of_kind('weights').values()) == 2 * sum(plan.of_kind('weights').values())


def test_a_plan_knows_each_kind_of_mixed_precision(config):
    kept = {}
    # Large enough that the peak is in the backward pass.
    config.model.backbone.arch = dict(embed_dims=64, num_layers=4, num_heads=2)
    config.model.head.in_channels, config.train_dataloader.batch_size = 64, 512
    for precision, wrapper in AMP_WRAPPERS.items():
        config.optim_wrapper.update(wrapper)
        kept[precision] = sum(make_plan(config, GPU).of_kind('activations').values())
    assert kept['bf16'] == kept['fp16'] < 0.8 * kept['off']


@pytest.mark.parametrize(
    ('dataset', 'images'), [('mmaddp.TinyImageNet', 100_000), ('ImageNet', 1_281_167)]
)
def test_steps_of_known_data(config, dataset, images):
    config.train_dataloader.dataset.update(type=dataset, data_root='data')
    assert count_steps(config, 100, None) == 3 * -(-images // 100)
    config.labels = 0.01
    assert count_steps(config, 100, None) == 3 * -(-round(images / 100) // 100)


def test_a_batch_of_depths_has_the_size_of_its_data():
    dataset = dict(type='mmaddp.DrawnShapes', size=48)
    config = Config(
        dict(default_scope='mmseg', model=dict(), train_dataloader=dict(dataset=dataset))
    )
    model = nn.Module()
    model.head = nn.Module()
    model.head.min_depth = 1e-3
    batch = synthetic_batch(config, model, 2)
    assert [image.shape for image in batch['inputs']] == [(3, 48, 48)] * 2
    for sample in batch['data_samples']:
        depth = sample.gt_depth_map.data
        assert depth.shape == (1, 48, 48)
        assert 1 <= depth.min() < depth.max() < 10


def test_a_training_on_tokens_is_traced(repository, monkeypatch):
    for name in ('TOKENIZER', 'TOKEN_PREDICTOR', 'TOKEN_DIR'):
        monkeypatch.setenv(name, 'unused')
    name = 'pretrain/addp/addp_vit-toy_1xb32-1000i_tokens-64px.py'
    config = load_config(repository / 'configs' / name)
    step = trace(config, 2, 'cpu')
    assert step.memory['activations', 'encoder'] > 0


def test_accumulation_keeps_all_gradients(config):
    config.optim_wrapper.accumulative_counts = 2
    plan = make_plan(config, GPU)
    assert sum(plan.of_kind('gradients').values()) == 4 * parameters(plan)


def test_memory_grows_with_the_batch(config):
    peaks = [trace(config, batch).peak for batch in (2, 4, 8)]
    assert peaks == sorted(peaks)
    assert peaks[2] - peaks[1] == pytest.approx(2 * (peaks[1] - peaks[0]), rel=0.2)


def test_attention_keeps_what_a_gpu_keeps():
    """No (N, N) weights with dropout, and the bytes of q, k, v, the output and a sum a row."""
    ledger = Ledger()
    q, k, v = (torch.ones(2, 3, 50, 8, requires_grad=True) for _ in range(3))
    with ledger, cuda_kernels(ledger):
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
        out.sum().backward()
    assert type(out.grad_fn).__name__ == f'{FusedAttention.__name__}Backward'
    flops = 4 * 2 * 3 * 50 * 50 * 8
    assert sum(work.flops for work in ledger.work) == flops * 3.5
    assert ledger.peak < 3 * 50 * 50 * 4 * 2


def test_several_gpus(config, traced):
    alone, together = (make_plan(config, GPU, processes).memory for processes in (1, 8))
    assert together - alone == {('gradients', 'buckets'): GIB // 2}
    config.runner_type = 'mmaddp.ShardedRunner'
    sharded = make_plan(config, GPU, 8).memory
    assert sharded['optimizer', 'backbone'] == GIB // 16
    # What is in no block, and two blocks.
    assert sharded['workspace', 'gathered'] == GIB // 4 + 2 * GIB // 8


@pytest.mark.parametrize(
    ('gib', 'batch', 'options'),
    [
        (5.5, 4, {'optim_wrapper.accumulative_counts': 3}),
        (2.7, 3, {'optim_wrapper.accumulative_counts': 4, 'optim_wrapper.dtype': 'bfloat16'}),
        (1.8, 3, {'optim_wrapper.dtype': 'bfloat16', 'model.backbone.with_cp': True}),
    ],
)
def test_the_largest_batches_of_the_cheapest_settings_that_fit(config, traced, gib, batch, options):
    config.train_dataloader.batch_size = 12
    # Fragments take 5 % of the tensors.
    plan = make_plan(config, GPU._replace(memory=CONTEXT + 1.05 * gib))
    found = cheapest(plan, config)
    assert not plan.fits
    assert found.fits
    assert found.batch_size == batch
    assert options.items() <= found.options.items()
    assert remedy(found, config).startswith('fits with --cfg-options ')


def test_nothing_fits(config, traced):
    plan = make_plan(config, GPU._replace(memory=CONTEXT))
    assert 'no batch, precision or recomputation' in remedy(cheapest(plan, config), config)


def test_an_out_of_memory_error_ends_with_settings_that_fit(config, traced, monkeypatch):
    config.train_dataloader.batch_size = 12
    monkeypatch.setattr(announce_module, 'get_device', lambda: 'cuda')
    gpu = GPU._replace(memory=CONTEXT + 1.05 * 5.5)
    monkeypatch.setattr(announce_module, 'this_device', lambda: gpu)
    with pytest.raises(UserError, match='out of memory') as error, clear_errors(config):
        raise torch.cuda.OutOfMemoryError('CUDA out of memory.\nMore of it.')
    settings = 'train_dataloader.batch_size=4 optim_wrapper.accumulative_counts=3'
    assert str(error.value).endswith(f'fits with --cfg-options {settings}')


def test_batches_are_split_into_equal_parts(config):
    config.train_dataloader.batch_size = 12
    sizes = [options['train_dataloader.batch_size'] for options in split_batches(config)]
    assert sizes == [6, 4, 3, 2]


def test_a_schedule_in_hours(config, plan):
    assert plan.steps is None
    assert count_steps(config, 4, images=20) == 3 * 5
    timed = replace(plan, steps=15)
    assert timed.hours == pytest.approx(15 * plan.seconds / 3600)
    assert timed.images_per_second == pytest.approx(4 / plan.seconds)
    assert f'needs {plan.needed:.1f} of 24.0 GiB' in describe(timed)


def test_gpus_by_name_size_and_file(tmp_path):
    assert find_device('A100-80GB').bandwidth == 2039
    assert find_device('24GB').memory == pytest.approx(23.64)
    (tmp_path / 'gpu.json').write_text(json.dumps(GPU._asdict()))
    assert find_device(str(tmp_path / 'gpu.json')) == GPU
    with pytest.raises(UserError, match='H100'):
        find_device('H1000')
    (tmp_path / 'gpu.json').write_text('{"memori": 1}')
    with pytest.raises(UserError, match='memory'):
        find_device(str(tmp_path / 'gpu.json'))


def test_an_operator_takes_the_longer_of_arithmetic_and_memory():
    assert GPU.seconds(2 * 10**12, 0, torch.bfloat16, False) == pytest.approx(0.02)
    assert GPU.seconds(10**12, 0, torch.float32, True) == pytest.approx(0.02)
    assert GPU.seconds(0, 10**9, torch.float32, False) == pytest.approx(0.001)
    assert GIB == 1024**3
