# ADDP, DARL and DDAE on ImageNet, COCO and ADE20K, for GPUs: data/ holds imagenet, coco and
# ade/ADEChallengeData2016, and ADDP, DARL and DDAE name the encoders, AUTOENCODER the folder of
# DiT's autoencoder. ../../docs/comparison.md has the commands.
#
# DDAE's is the latent diffusion transformer, whose weights are published in one size; the page
# prints the parameters of all.
title = 'ADDP, DARL and DDAE on ImageNet, COCO and ADE20K'
seeds = [0]

# Each method has the recipe of its paper. What differs is listed on the page.
recipe = ['resolution', 'crop', 'augmentation', 'head', 'schedule', 'optimizer']
tasks = dict(
    probe=dict(
        title='Linear probe, ImageNet', metrics={'top-1 (%)': 'accuracy/best'}, may_differ=recipe
    ),
    cls=dict(
        title='Fine-tuning, ImageNet', metrics={'top-1 (%)': 'accuracy/top1'}, may_differ=recipe
    ),
    det=dict(
        title='Mask R-CNN, COCO',
        metrics={'box AP': 'coco/bbox_mAP', 'mask AP': 'coco/segm_mAP'},
        may_differ=recipe,
    ),
    seg=dict(title='UperNet, ADE20K', metrics={'mIoU (%)': 'mIoU'}, may_differ=recipe),
)

addp = dict(
    checkpoint='{{$ADDP:checkpoints/addp-vit-base-16.pth}}',
    pretrain='configs/pretrain/addp/addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px.py',
)
darl = dict(
    checkpoint='{{$DARL:work_dirs/darl-mse_vit-b_64xb64-amp-coslr-800e_in1k-224px/epoch_800.pth}}',
    pretrain='configs/pretrain/darl/darl-mse_vit-b_64xb64-amp-coslr-800e_in1k-224px.py',
)
ddae = dict(checkpoint='{{$DDAE:checkpoints/DiT-XL-2-256x256.pt}}')

methods = dict(
    addp=dict(
        title='ADDP, ViT-B',
        probe=dict(config='configs/cls/addp/addp_vit-b_probe_8xb128-15e_in1k-256px.py', **addp),
        cls=dict(config='configs/cls/addp/addp_vit-b_8xb128-amp-coslr-100e_in1k-256px.py', **addp),
        det=dict(
            config='configs/det/addp/mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco.py',
            # The variant 25e of ../grids/vitdet_schedules.py.
            options={
                'param_scheduler.1.milestones': [40972, 44387],
                'train_cfg.max_iters': 46094,
                'train_cfg.val_interval': 2426,
                'default_hooks.checkpoint.interval': 2426,
            },
            **addp,
        ),
        seg=dict(
            config='configs/seg/addp/upernet_addp-vit-b_8xb2-amp-160k_ade20k-512x512.py', **addp
        ),
    ),
    darl=dict(
        title='DARL, ViT-B',
        probe=dict(
            config='configs/cls/darl/darl-mse_vit-l_probe_8xb128-15e_in1k-224px.py',
            options={'model.encoder.backbone.arch': 'base'},
            **darl,
        ),
        cls=dict(
            config='configs/cls/darl/darl-mse_vit-b_32xb128-amp-coslr-90e_in1k-224px.py', **darl
        ),
        det=dict(config='configs/det/darl/mask-rcnn_darl-vit-b_sfp_16xb4-lsj-40e_coco.py', **darl),
        seg=dict(
            config='configs/seg/darl/upernet_darl-vit-b_8xb2-amp-160k_ade20k-512x512.py', **darl
        ),
    ),
    ddae=dict(
        title='DDAE, DiT-XL/2',
        probe=dict(
            config='configs/cls/ddae/ddae-ddpm_dit-xl_probe_8xb128-15e_in1k-256px.py', **ddae
        ),
        cls=dict(
            config='configs/cls/ddae/ddae-ddpm_dit-xl_8xb128-amp-coslr-100e_in1k-256px.py', **ddae
        ),
        det=dict(
            config='configs/det/ddae/mask-rcnn_ddae-ddpm-dit-xl_sfp_16xb4-lsj-25e_coco.py', **ddae
        ),
        seg=dict(
            config='configs/seg/ddae/upernet_ddae-ddpm-dit-xl_8xb2-amp-160k_ade20k-512x512.py',
            **ddae,
        ),
    ),
)
