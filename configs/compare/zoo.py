# The zoo's encoders, the same networks with random weights, and a small ViT of timm. They are
# fine-tuned on CamVid at half size, and probed with frozen weights on CamVid, on the depth of drawn
# rooms and on CIFAR-10. STEPS sets the length of the trainings. The environment names the folders:
# CAMVID_DIR=… IMAGE_DIR=… (CIFAR-10 as a folder of classes).
_base_ = '../_base_/datasets/camvid_112x112.py'

title = 'The zoo'
seeds = [0, 1, 2]

steps = int('{{$STEPS:80}}')
length = {
    'train_cfg.max_iters': steps,
    'train_cfg.val_interval': steps,
    'param_scheduler.0.end': steps // 10,
    'param_scheduler.1.end': steps,
}
# Images at half size, for the encoders' patches of 8 x 8 pixels.
half_size = {
    'train_dataloader.dataset.pipeline': _base_.train_pipeline,
    'val_dataloader.dataset.pipeline': _base_.test_pipeline,
    'test_dataloader.dataset.pipeline': _base_.test_pipeline,
    'model.data_preprocessor.size': (112, 112),
    'model.data_preprocessor.test_cfg.size_divisor': 16,
}
tasks = dict(
    seg=dict(
        title='Fine-tuning with a linear layer, CamVid',
        metrics={'mIoU (%)': 'mIoU'},
        labels=[0.1, 1],
        options={**half_size, **length, 'param_scheduler.1.begin': steps // 10},
    ),
    probe_seg=dict(
        title='Linear segmentation of the frozen encoder, CamVid',
        metrics={'mIoU (%)': 'mIoU/best'},
        options={**half_size, **length, 'param_scheduler.1.T_max': steps},
    ),
    probe_depth=dict(
        title='Linear depth of the frozen encoder, drawn rooms',
        metrics={'RMSE (m)': 'rmse/best', 'delta_1': 'd1/best'},
        rule='less',
        options={**length, 'param_scheduler.1.T_max': steps},
    ),
    probe=dict(
        title='Linear classification of the frozen encoder, CIFAR-10',
        metrics={'top-1 (%)': 'accuracy/best'},
        options={
            'train_dataloader.dataset.indices': list(range(0, 10_000, 4)),
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'param_scheduler.0.end': 1,
            'param_scheduler.0.T_max': 1,
        },
    ),
)
configs = dict(
    seg='configs/seg/encoder/linear_encoder_1xb8-600i_camvid-224x224.py',
    probe_seg='configs/seg/encoder/encoder_probe_1xb8-300i_camvid-224x224.py',
    probe_depth='configs/depth/encoder/encoder_probe_1xb8-300i_drawn-shapes-64x64.py',
    probe='configs/cls/encoder/encoder_probe_1xb32-4e_image-folder-64px.py',
)

# The ViTs of the zoo have 4 blocks of 192 channels on patches of 8 x 8 pixels.
vit = dict(arch=dict(embed_dims=192, num_layers=4, num_heads=3), img_size=64, patch_size=8)
dit = dict(
    arch=vit['arch'], input_size=64, patch_size=8, in_channels=3, num_classes=1, learn_sigma=False
)
blocks = [f'block_{number}' for number in (1, 2, 3, 4)]
layers = {'model.layers': [*blocks, '+'.join(blocks)]}
edm = dict(type='mmaddp.EDM')
unet = dict(base_channels=32, channel_multipliers=(1, 2, 3), attention_stages=(2,), num_blocks=1)
# A frozen DDAE is probed at two noise levels.
dit_levels, unet_levels = (
    {
        'model.encoder': dict(
            _delete_=True,
            type='mmaddp.DDAE',
            network=dict(type=f'mmaddp.{name}', **settings),
            process=edm,
            img_size=64,
        ),
        'model.levels': [1, 4],
    }
    for name, settings in (('DDAEDiT', dit), ('DDAEUNet', unet))
)
addp_vit, darl_vit = (
    {'model': f'mmaddp:{name}', 'arguments': vit} for name in ('ADDPViT', 'DARLViT')
)
# sigma = 0.06
ddae_dit, ddae_unet = (
    {'model': f'mmaddp:{name}', 'time': -0.7, 'arguments': dict(settings, process=edm)}
    for name, settings in (('DDAEDiT', dit), ('DDAEUNet', unet))
)
timm_vit = {'model': 'timm:test_vit'}
# Title, file, settings of mmaddp.Encoder, and options of the probes.
rows = dict(
    addp=('ADDP', 'zoo://addp-toy', addp_vit, layers),
    addp_random=('ADDP, random weights', None, addp_vit, layers),
    darl=('DARL', 'zoo://darl-toy', darl_vit, layers),
    darl_random=('DARL, random weights', None, darl_vit, layers),
    ddae=('DDAE', 'zoo://ddae-toy', ddae_dit, dit_levels),
    ddae_random=('DDAE, random weights', None, ddae_dit, dit_levels),
    unet=("DDAE's UNet", 'zoo://ddae-unet-toy', ddae_unet, unet_levels),
    unet_random=("DDAE's UNet, random weights", None, ddae_unet, unet_levels),
    timm_random=('timm: a tiny ViT, random weights', None, timm_vit, {}),
)

methods = {}
for method, (name, checkpoint, settings, probed) in rows.items():
    random = f'{method}_random'
    methods[method] = dict(title=name, baseline=random if random in rows else None)
    for task, config in configs.items():
        part = 'backbone' if task == 'seg' else 'encoder'
        options = {f'model.{part}.{key}': value for key, value in settings.items()}
        if task != 'seg':
            options = {**({} if 'model.encoder' in probed else options), **probed}
        methods[method][task] = dict(config=config, checkpoint=checkpoint, options=options)
