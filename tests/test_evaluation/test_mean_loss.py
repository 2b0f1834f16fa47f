"""The validation loss of a pre-training: the mean over images, with the same noise every time."""

import pytest
import torch
from mmpretrain.structures import DataSample
from tiny_ddae import ddae, random_images, tiny_ddae
from tiny_runs import classifier, last_checkpoint, run_training, write_images

from mmaddp.evaluation import MeanLoss
from mmaddp.experiments.logs import read_scalars


def samples(indices):
    return [DataSample(metainfo=dict(sample_idx=index)) for index in indices]


def test_images_of_all_batches_count_alike():
    metric = MeanLoss()
    metric.process(None, 3 * [dict(pred_losses=dict(loss=1.0, loss_mse=2.0))])
    metric.process(None, [dict(pred_losses=dict(loss=5.0, loss_mse=2.0))])
    assert metric.evaluate(4) == {'val/loss': 2.0, 'val/loss_mse': 2.0}


def test_the_noise_depends_on_the_images_alone():
    model, images = tiny_ddae(ddae()), random_images()

    def loss(indices):
        (first, second) = model(images, samples(indices), mode='predict')
        assert first.pred_losses == second.pred_losses
        return first.pred_losses['loss']

    torch.manual_seed(1)
    once, following = loss([4, 5]), torch.rand(())
    torch.manual_seed(1)
    assert torch.equal(torch.rand(()), following)  # the training's own numbers stay the same
    torch.manual_seed(2)
    assert loss([4, 5]) == once != loss([6, 7])
    torch.manual_seed(4)
    with torch.no_grad():
        assert once == pytest.approx(float(model.loss(images)['loss']))


def test_a_training_reports_it(tmp_path):
    config = classifier(write_images(tmp_path / 'images'), tmp_path / 'run')
    config.model = ddae()
    config.val_evaluator = dict(type='mmaddp.MeanLoss')
    config.train_cfg.val_interval = 1
    config.default_hooks.checkpoint.save_best = 'val/loss'
    run_training(config)
    losses = [row['val/loss'] for row in read_scalars(tmp_path / 'run') if 'val/loss' in row]
    assert len(losses) == 3
    # MMEngine would log the mean of all validations so far.
    hub = last_checkpoint(tmp_path / 'run')['message_hub']['log_scalars']['val/val/loss']
    assert losses == pytest.approx(list(hub.data[0]))
    best = 1 + losses.index(min(losses))  # an epoch
    assert (tmp_path / f'run/best_val_loss_epoch_{best}.pth').is_file()
