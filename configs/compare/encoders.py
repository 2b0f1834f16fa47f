# Networks of other libraries beside the three methods' own, with random weights. Each takes about a
# minute. This shows how to compare encoders; it does not rank them. Replace the networks by your
# own and name their files in `checkpoint`. Without one, weights are random or those of the folder.
# IMAGE_DIR, COCO_DIR and CAMVID_DIR name the data. STEPS is the length of the dense trainings. UNET
# names a folder of diffusers; without it, that row is left out.
title = 'Any encoder'
seeds = [0]

steps = int('{{$STEPS:30}}')
length = {'train_cfg.max_iters': steps, 'train_cfg.val_interval': steps}
warmup = {'param_scheduler.0.end': steps // 3, 'param_scheduler.1.end': steps}
# The data are small, so loading them needs no worker processes.
loading = {
    f'{part}_dataloader.{key}': value
    for part in ('train', 'val', 'test')
    for key, value in dict(num_workers=0, persistent_workers=False).items()
}
tasks = dict(
    probe=dict(
        title='Linear probe',
        metrics={'top-1 (%)': 'accuracy/best'},
        options={
            **loading,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'param_scheduler.0.end': 1,
            'param_scheduler.0.T_max': 1,
        },
    ),
    cls=dict(
        title='Classifier',
        metrics={'top-1 (%)': 'accuracy/top1'},
        options={
            **loading,
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'param_scheduler.0.end': 0.25,
            'param_scheduler.1.begin': 0.25,
            'param_scheduler.1.end': 1,
        },
    ),
    det=dict(
        title='Mask R-CNN',
        metrics={'box AP50': 'coco/bbox_mAP_50'},
        options={**loading, **length, **warmup},
    ),
    seg=dict(
        title='UperNet',
        metrics={'mIoU (%)': 'mIoU'},
        options={
            **loading,
            **length,
            **warmup,
            'param_scheduler.1.begin': steps // 3,
            # Validate on the first 24 images; all of them would take most of the time.
            'val_dataloader.dataset.indices': 24,
        },
    ),
)

toy = dict(arch=dict(embed_dims=192, num_layers=4, num_heads=3), img_size=128)
small_vit = dict(num_hidden_layers=4, hidden_size=192, num_attention_heads=3, image_size=128)
# Settings of mmaddp.Encoder, and `title` and `checkpoint` for the comparison.
networks = dict(
    addp=dict(title='ADDP', model='mmaddp:ADDPViT', arguments=toy),
    darl=dict(title='DARL', model='mmaddp:DARLViT', arguments=toy),
    ddae=dict(
        title='DDAE',
        model='mmaddp:DDAEUNet',
        time=0.011,
        # Without windows, attention to all positions would take most of the time.
        arguments=dict(base_channels=32, channel_multipliers=(1, 2, 2), attention_window=16),
    ),
    timm_vit=dict(title='timm: ViT, 6 blocks', model='timm:test_vit'),
    timm_convnext=dict(title='timm: ConvNeXt-Atto', model='timm:convnext_atto'),
    hf_vit=dict(title='transformers: DINOv2, 4 blocks', model='hf:dinov2', arguments=small_vit),
)
unet = '{{$UNET:none}}'
if unet != 'none':
    networks['diffusers_unet'] = dict(title='diffusers: UNet', model=f'diffusers:{unet}', time=10)

# The config of each task, and the part of its model that is the encoder.
configs = dict(
    probe=('configs/cls/encoder/encoder_probe_1xb32-4e_image-folder-64px.py', 'encoder'),
    cls=('configs/cls/encoder/encoder_1xb64-20e_image-folder-64px.py', 'backbone'),
    det=('configs/det/encoder/mask-rcnn_encoder_1xb4-500i_coco-folder.py', 'backbone'),
    seg=('configs/seg/encoder/upernet_encoder_1xb8-600i_camvid-224x224.py', 'backbone'),
)
methods = {}
for name, settings in networks.items():
    settings = dict(settings)
    methods[name] = dict(title=settings.pop('title'))
    checkpoint = settings.pop('checkpoint', None)
    for task, (path, part) in configs.items():
        methods[name][task] = dict(
            config=path,
            checkpoint=checkpoint,
            options={f'model.{part}.{key}': value for key, value in settings.items()},
        )
