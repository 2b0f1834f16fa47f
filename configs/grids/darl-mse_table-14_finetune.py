# DARL's table 14: fine-tuning the encoders of darl-mse_table-14_pretrain.py for 90 epochs, with the
# drop path and the learning rate of table 9 for each size.
config = '../cls/darl/darl-mse_vit-l_32xb128-amp-coslr-90e_in1k-224px.py'
encoder = '{{$ENCODER:work_dirs/darl-mse_table-14_pretrain/SIZE/epoch_800.pth}}'
variants = {
    size: {**options, 'model.backbone.init_cfg.checkpoint': encoder.replace('SIZE', size)}
    for size, options in {
        'vit-b': {
            'model.backbone.arch': 'base',
            'model.backbone.drop_path_rate': 0.0,
            'model.head.in_channels': 768,
        },
        'vit-l': {},
        'vit-h': {
            'model.backbone.arch': 'huge',
            'model.backbone.patch_size': 14,
            'model.backbone.drop_path_rate': 0.2,
            'model.head.in_channels': 1280,
            'optim_wrapper.optimizer.lr': 3e-3,
            'param_scheduler.1.eta_min_ratio': 1e-6 / 3e-3,
        },
    }.items()
}
