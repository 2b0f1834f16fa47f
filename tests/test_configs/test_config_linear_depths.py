"""Linear evaluation at every depth against table 13 of DARL, typed here."""

import pytest

BLOCKS = {'b': (12, 768), 'l': (24, 1024)}


@pytest.mark.parametrize('size', BLOCKS)
def test_linear_evaluation_follows_table_13(size, load_config):
    layers, dims = BLOCKS[size]
    config = load_config(
        f'cls/darl/darl-diff_vit-{size}_linear-all-depths_16xb1024-lars-90e_in1k-224px'
    )
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum) == ('LARS', 0.1, 0.9)
    assert optimizer.weight_decay == 0
    assert 16 * config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == 16384
    warmup, cosine = config.param_scheduler
    assert (warmup.end, cosine.begin, cosine.end, config.train_cfg.max_epochs) == (10, 10, 90, 90)
    backbone, head = config.model.backbone, config.model.head
    assert backbone.causal
    assert backbone.get('drop_path_rate', 0) == 0
    assert backbone.get('positions', 'rope-2d') == 'rope-2d'
    assert backbone.frozen_stages == head.num_depths == layers
    assert backbone.out_indices == list(range(layers))
    assert head.neck.in_channels == head.head.in_channels == dims
    assert head.neck.norm_cfg == dict(type='BN1d', affine=False, eps=1e-6)
    assert head.head.loss.label_smooth_val == 0.1
    augmentations = [step.type for step in config.train_dataloader.dataset.pipeline[1:-1]]
    assert augmentations == ['RandomResizedCrop', 'RandomFlip']
    assert config.val_evaluator == config.test_evaluator == dict(type='mmaddp.NamedAccuracy')


def test_addp_is_probed_at_every_depth_as_at_one(load_config):
    name = 'cls/addp/addp_vit-b_linear{}_16xb1024-lars-90e_in1k-256px'
    one, every = load_config(name.format('')), load_config(name.format('-all-depths'))
    assert every.model.head.neck == one.model.neck
    assert every.model.head.head == one.model.head
    assert every.model.get('neck') is None
    assert every.model.backbone == {**one.model.backbone, 'out_indices': list(range(12))}
    # Biases are left out of LARS's scaling under the names that they have here.
    assert list(every.optim_wrapper.paramwise_cfg.custom_keys) == ['fc.bias']
