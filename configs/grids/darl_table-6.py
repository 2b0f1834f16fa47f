# The other encoders of DARL's table 6. Table 11 has their learning rate and layer decay.
_base_ = '../_base_/backbones/mae_vit-l.py'

config = '../det/darl/cascade-mask-rcnn_darl-vit-l_sfp_16xb4-lsj-40e_coco.py'
recipe = {
    'optim_wrapper.optimizer.lr': 5e-5,
    'optim_wrapper.paramwise_cfg.layer_decay_rate': 0.8,
}
variants = {
    'mae': {**recipe, 'model.backbone': dict(_delete_=True, **_base_.for_detection.backbone)},
    # The encoder of ../cls/darl's supervised config.
    'supervised': {
        **recipe,
        'model.backbone.init_cfg': dict(
            checkpoint='{{$ENCODER:work_dirs/darl-supervised_vit-l_32xb128-amp-coslr-200e_in1k-224px/epoch_200.pth}}',
        ),
    },
}
