# DARL's table 15: the loss on the validation images, every 20 epochs, of trainings of several
# lengths and sizes. CONFIG names the config of the other objective, from configs/ and without .py.
# Other tables have most of these accuracies (table 16 for 100 epochs, 1 for 400, 5 for 800); we
# assume 200 epochs for the row between.
_base_ = '../_base_/datasets/imagenet_224.py'

name = '{{$CONFIG:pretrain/darl/darl-mse_vit-l_64xb64-amp-coslr-800e_in1k-224px}}'
config = f'../{name}.py'
validation = {
    'val_dataloader': _base_.val_dataloader,
    'val_evaluator': dict(type='mmaddp.MeanLoss'),
    'val_cfg': {},
    'train_cfg.val_interval': 20,
}
variants = {
    **{
        f'vit-l_{epochs}e': {
            **validation,
            'train_cfg.max_epochs': epochs,
            'param_scheduler.1.end': epochs,
            'work_dir': f'work_dirs/{name}/table-15/vit-l_{epochs}e',
        }
        for epochs in (100, 200, 400, 800)
    },
    'vit-h_800e': {
        **validation,
        'model.backbone.arch': 'huge',
        'model.backbone.patch_size': 14,
        'work_dir': f'work_dirs/{name}/table-15/vit-h_800e',
    },
}
