"""One GPU that accumulates gradients takes the steps that sixteen take at once."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

DETECTORS = [
    f'det/{encoder}/{head}_{encoder}-vit-{size}_sfp_16xb4-lsj-100e_coco'
    for encoder in ('addp', 'mae')
    for head in ('mask-rcnn', 'cascade-mask-rcnn')
    for size in 'bl'
]


@pytest.fixture
def load_both(load_variant):
    """A detector's 25 epochs on many GPUs and on one."""
    variants = ('25e', '25e-1xb4-accum16')
    return lambda name: [load_variant('vitdet_schedules', v, name) for v in variants]


def learning_rates_of_steps(cfg: Config, batches: range) -> list[float]:
    """Learning rate of every optimizer step that falls in the given batches of the run.

    MMEngine's own wrapper and schedulers run in the order of its training loop; the schedulers
    are first wound forward to the batch where the range starts.
    """
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    wrapper = OptimWrapper(
        optimizer, accumulative_counts=cfg.optim_wrapper.get('accumulative_counts', 1)
    )
    wrapper.initialize_count_status(model, batches.start, cfg.train_cfg.max_iters)
    schedulers = []
    for scheduler in cfg.param_scheduler:
        scheduler = {
            k: v - batches.start if k in ('begin', 'end') else v for k, v in scheduler.items()
        }
        if 'milestones' in scheduler:
            scheduler['milestones'] = [m - batches.start for m in scheduler['milestones']]
        if scheduler.get('end', 1) > 0:
            schedulers.append(
                PARAM_SCHEDULERS.build(scheduler, default_args=dict(optimizer=optimizer))
            )
    rates = []
    optimizer.register_step_post_hook(lambda *_: rates.append(optimizer.param_groups[0]['lr']))
    for _ in batches:
        wrapper.update_params(model(torch.ones(1, 1)).sum())
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize('detector', DETECTORS)
def test_schedule_counts_whole_steps(detector, load_both):
    many, one = load_both(detector)
    accumulated = one.optim_wrapper.accumulative_counts
    assert accumulated * one.train_dataloader.batch_size == 16 * many.train_dataloader.batch_size
    assert one.train_cfg.max_iters == accumulated * many.train_cfg.max_iters
    for interval in (one.train_cfg.val_interval, one.default_hooks.checkpoint.interval):
        assert interval % accumulated == 0
    assert one.model.backbone.with_cp
    # A loss scale of float16 would let one batch's overflow spoil the step of the other 15.
    assert (one.optim_wrapper.dtype, one.optim_wrapper.loss_scale) == (
        'bfloat16',
        dict(enabled=False),
    )


@pytest.mark.parametrize('first_step', [0, 40_962, 44_377], ids=['warm-up', '8/9', '26/27'])
def test_every_step_has_its_learning_rate(first_step, load_both):
    many, one = load_both(DETECTORS[0])
    num_steps = 260 if first_step == 0 else 20
    expected = learning_rates_of_steps(many, range(first_step, first_step + num_steps))
    accumulated = one.optim_wrapper.accumulative_counts
    batches = range(first_step * accumulated, (first_step + num_steps) * accumulated)
    actual = learning_rates_of_steps(one, batches)
    assert len(actual) == num_steps
    # In the warm-up the rate moves on with every batch, so a step is up to one step ahead.
    one_step_of_warmup = (1 - 0.001) / 249
    assert actual == pytest.approx(expected, abs=one_step_of_warmup)
    assert actual[-1] == pytest.approx(expected[-1])
    if first_step:
        assert expected == pytest.approx(10 * [1.0] + 10 * [0.1])
