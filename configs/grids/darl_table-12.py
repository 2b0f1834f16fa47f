# DARL's table 12, a sweep of 108 cells on one of VTAB's tasks:
#     VTAB=pets python tools/sweep.py configs/grids/darl_table-12.py --work-dir work_dirs/vtab/pets
# The best cell on the validation images is trained once more, on training and validation images,
# and tested: configs/cls/darl/README.md has the commands.
_base_ = '../_base_/datasets/vtab_224.py'

config = '../cls/darl/darl-diff_vit-l_1xb256-20k_vtab-224px.py'

randaug_pipeline = [
    _base_.load,
    _base_.crop,
    _base_.flip,
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    ),
    _base_.pack,
]
mixup_cutmix = dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)])

metric = 'accuracy/top1'
grid = {
    'model.backbone.drop_path_rate': [0.0, 0.1, 0.2],
    'augmentation': {
        'spatial': {},
        'RandAug + mixup + cutmix': {
            'train_dataloader.dataset.pipeline': randaug_pipeline,
            'model.data_preprocessor.batch_augments': mixup_cutmix,
        },
    },
    'optim_wrapper.optimizer.weight_decay': [0.1, 0.3],
    'optim_wrapper.optimizer.lr': [1e-3, 1e-2, 1e-1],
    'optim_wrapper.paramwise_cfg.layer_decay_rate': [0.7, 0.8, 0.9],
}
final = {'train_dataloader.dataset.use': ('train', 'val')}
