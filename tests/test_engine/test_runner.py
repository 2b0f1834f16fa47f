import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.visualization import Visualizer
from tiny_runs import classifier, last_checkpoint, run_training, write_images

from mmaddp.engine import Runner


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path / 'images', per_class=2)


@pytest.mark.parametrize(
    ('batch_size', 'accumulated', 'factor'), [(4, 1, 1 / 16), (4, 16, 1), (32, 4, 2)]
)
def test_the_learning_rate_scales_with_an_optimizer_step(
    tmp_path, images, batch_size, accumulated, factor
):
    config = classifier(images, tmp_path / 'w', **{'train_dataloader.batch_size': batch_size})
    runner = Runner.from_cfg(config)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    wrapper = OptimWrapper(optimizer, accumulative_counts=accumulated)
    runner.scale_lr(wrapper, {'enable': True, 'base_batch_size': 64})
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.5 * factor)


def test_only_the_newest_checkpoints_and_the_best_stay(tmp_path, images):
    config = classifier(
        images,
        tmp_path / 'w',
        **{
            'default_hooks.checkpoint.max_keep_ckpts': 2,
            'default_hooks.checkpoint.save_best': 'accuracy/top1',
            'default_hooks.checkpoint.rule': 'less',
            'train_cfg.val_interval': 1,
        },
    )
    run_training(config)
    names = sorted(path.name for path in (tmp_path / 'w').glob('*.pth'))
    assert names[1:] == ['epoch_2.pth', 'epoch_3.pth']
    assert names[0].startswith('best_accuracy_top1_epoch_')
    assert last_checkpoint(tmp_path / 'w')['meta']['epoch'] == 3


def test_mmengines_own_runner_trains_the_same_config(tmp_path, images):
    config = classifier(images, tmp_path / 'w', runner_type='Runner')
    run_training(config)
    assert last_checkpoint(tmp_path / 'w')['meta']['epoch'] == 3


def test_each_training_of_a_process_logs_to_its_own_folder(tmp_path, images):
    """MMDetection's and MMSegmentation's configs name all visualizers alike."""
    visualizer = dict(
        type='Visualizer', name='visualizer', vis_backends=[dict(type='LocalVisBackend')]
    )
    for name in ('one', 'two'):
        config = classifier(images, tmp_path / name)
        config.visualizer = visualizer
        runner = Runner.from_cfg(config)
        runner.visualizer.add_scalars(dict(loss=1.0), step=1)
        assert Visualizer.get_current_instance() is runner.visualizer
        assert len(list((tmp_path / name).rglob('scalars.json'))) == 1
