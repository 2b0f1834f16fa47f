# Networks of other libraries beside the three methods' own, with random weights, in minutes each:
# how to compare encoders, not a ranking. Replace the networks by those that you have, and
# name their files in WEIGHTS of ../_base_/backbones/encoder.py or in `checkpoint` here.
# IMAGE_DIR, COCO_DIR and CAMVID_DIR name the folders.
title = 'Any encoder'
seeds = [0]

steps = {'train_cfg.max_iters': 30, 'train_cfg.val_interval': 30}
tasks = dict(
    probe=dict(title='Linear probe', metrics={'top-1 (%)': 'accuracy/best'}),
    cls=dict(
        title='Classifier',
        metrics={'top-1 (%)': 'accuracy/top1'},
        options={
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
        options={**steps, 'param_scheduler.0.end': 10, 'param_scheduler.1.end': 30},
    ),
    seg=dict(
        title='UperNet',
        metrics={'mIoU (%)': 'mIoU'},
        options={
            **steps,
            'param_scheduler.0.end': 10,
            'param_scheduler.1.begin': 10,
            'param_scheduler.1.end': 30,
        },
    ),
)

# A ViT of transformers, and a UNet of diffusers, whose folder UNET names.
small_vit = dict(
    arguments=dict(
        num_hidden_layers=4,
        hidden_size=192,
        num_attention_heads=3,
        image_size=128,
    )
)
toy = dict(embed_dims=192, num_layers=4, num_heads=3)
networks = dict(
    addp=('ADDP', 'mmaddp:ADDPViT', dict(arguments=dict(arch=toy, img_size=128))),
    darl=('DARL', 'mmaddp:DARLViT', dict(arguments=dict(arch=toy, img_size=128))),
    ddae=(
        'DDAE',
        'mmaddp:DDAEUNet',
        dict(time=0.011, arguments=dict(base_channels=32, channel_multipliers=(1, 2, 2))),
    ),
    timm_vit=('timm: ViT, 6 blocks', 'timm:test_vit', {}),
    timm_convnext=('timm: ConvNeXt-Atto', 'timm:convnext_atto', {}),
    hf_vit=('transformers: DINOv2, 4 blocks', 'hf:dinov2', small_vit),
    diffusers_unet=('diffusers: UNet', 'diffusers:{{$UNET:checkpoints/unet}}', dict(time=10)),
)
configs = dict(
    cls='configs/cls/encoder/encoder_1xb64-20e_image-folder-64px.py',
    det='configs/det/encoder/mask-rcnn_encoder_1xb4-500i_coco-folder.py',
    seg='configs/seg/encoder/upernet_encoder_1xb8-600i_camvid-224x224.py',
)
methods = {
    name: dict(
        title=title,
        probe=dict(
            config='configs/cls/encoder/encoder_probe_1xb32-4e_image-folder-64px.py',
            options={
                f'model.encoder.{key}': value for key, value in {'model': model, **more}.items()
            },
        ),
        **{
            task: dict(
                config=path,
                options={
                    f'model.backbone.{key}': value
                    for key, value in {'model': model, **more}.items()
                },
            )
            for task, path in configs.items()
        },
    )
    for name, (title, model, more) in networks.items()
}
