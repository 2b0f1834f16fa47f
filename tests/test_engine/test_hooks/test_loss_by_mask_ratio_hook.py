"""The loss is logged by the share of masked tokens, of all processes and through a resumption."""

import json
from unittest import mock

import pytest
import tiny_faults  # noqa: F401
import torch
from mmengine.logging import MessageHub
from tiny_addp import pretraining
from tiny_runs import last_checkpoint, run_training, write_images

from mmaddp.engine import LossByMaskRatioHook
from mmaddp.engine.hooks.loss_by_mask_ratio_hook import bin_of


@pytest.mark.parametrize(
    ('ratio', 'expected'),
    [
        (0.0, '0.0-0.1'),
        (0.5, '0.5-0.6'),
        (0.599, '0.5-0.6'),
        (0.6, '0.6-0.7'),
        # 154 of 256 places: a mean in float32 of what 0.6 asks for.
        (154 / 256, '0.6-0.7'),
        (0.7 - 1e-7, '0.7-0.8'),
        (1.0, '0.9-1.0'),
    ],
)
def test_bins(ratio, expected):
    assert bin_of(ratio) == expected


def test_all_processes_count():
    hub = MessageHub('ratios')
    runner = mock.Mock(message_hub=hub)
    gathered = [torch.tensor([0.55, 2.0]), torch.tensor([0.95, 3.0]), torch.tensor([0.58, 4.0])]
    with mock.patch('mmaddp.engine.hooks.loss_by_mask_ratio_hook.all_gather') as gather:
        gather.return_value = gathered
        outputs = {'loss': torch.tensor(2.0), 'mask_ratio': torch.tensor(0.55)}
        LossByMaskRatioHook().after_train_iter(runner, 0, outputs=outputs)
    assert gather.call_args.args[0].tolist() == pytest.approx([0.55, 2.0])
    means = {name: history.mean() for name, history in hub.log_scalars.items()}
    assert means == {'train/loss_by_ratio/0.5-0.6': 3.0, 'train/loss_by_ratio/0.9-1.0': 3.0}
    # One value an iteration, so that a window of the log is as long as for one process.
    assert all(len(history.data[0]) == 1 for history in hub.log_scalars.values())


def test_logged_through_a_resumption(tmp_path):
    images = write_images(tmp_path / 'images')
    config = pretraining(images, tmp_path / 'run', by_epoch=False)
    config.default_hooks.logger = dict(type='LoggerHook', interval=1)
    config.custom_hooks = [
        dict(type='mmaddp.LossByMaskRatioHook'),
        dict(type='StopBefore', iteration=7),
    ]
    with pytest.raises(KeyboardInterrupt):
        run_training(config)
    config.custom_hooks.pop()
    run_training(config, resume=True)
    log = max((tmp_path / 'run').glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all('mask_ratio' in line for line in lines if 'loss' in line)
    scalars = last_checkpoint(tmp_path / 'run')['message_hub']['log_scalars']
    bins = {name: one for name, one in scalars.items() if 'loss_by_ratio' in name}
    assert sum(len(one.data[0]) for one in bins.values()) == 12
    logged = {name for line in lines for name in line if 'loss_by_ratio' in name}
    assert logged == {name.partition('/')[2] for name in bins}
