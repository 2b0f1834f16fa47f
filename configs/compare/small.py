# ADDP, DARL and DDAE on real data that two CPU cores manage: encoders of 1.6M to 1.9M parameters,
# pre-trained on as many images each. CIFAR-10 to probe and to classify, one's own photographs (an
# encoder of them each) for the pedestrians of Penn-Fudan and the street scenes of CamVid.
# ../../docs/comparison.md has the commands. CIFAR10_DIR, COCO_DIR and CAMVID_DIR name the folders,
# ENCODERS the folder with a work folder for each pre-training.
title = 'ADDP, DARL and DDAE, small'
seeds = [0, 1, 2]

# The budget of all methods. Warm-up and decay are scaled to it.
epochs = {
    'train_cfg.max_epochs': 5,
    'train_cfg.val_interval': 5,
    'param_scheduler.0.end': 1,
    'param_scheduler.1.begin': 1,
    'param_scheduler.1.end': 5,
}
tasks = dict(
    probe=dict(
        title='Linear probe, CIFAR-10',
        metrics={'top-1 (%)': 'accuracy/best'},
        # ADDP sees the images at 64 x 64: a token of its tokenizer covers 8 x 8.
        may_differ=['resolution', 'augmentation'],
    ),
    cls=dict(
        title='Classifier, CIFAR-10',
        metrics={'top-1 (%)': 'accuracy/top1'},
        options=epochs,
        # Each method's own recipe; from scratch, all layers have one learning rate.
        may_differ=['resolution', 'augmentation', 'head', 'optimizer'],
    ),
    det=dict(
        title='Mask R-CNN, Penn-Fudan',
        metrics={
            'box AP50': 'coco/bbox_mAP_50',
            'box AP': 'coco/bbox_mAP',
            'mask AP': 'coco/segm_mAP',
        },
    ),
    seg=dict(title='UperNet, CamVid', metrics={'mIoU (%)': 'mIoU'}),
)

encoders = '{{$ENCODERS:work_dirs}}'
pretraining = dict(
    addp='addp_vit-toy_1xb64-3000i_cifar10-64px',
    darl='darl-mse_vit-toy_1xb64-3000i_cifar10-32px',
    ddae='ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px',
)
of_photos = dict(
    addp='addp_vit-toy_1xb64-3000i_image-folder-64px',
    darl='darl-mse_vit-toy_1xb64-3000i_image-folder-64px',
    ddae='ddae-ddpm_unet-toy-3-stages_1xb64-3000i_image-folder-64px',
)
sources = {
    stage: {
        method: dict(
            checkpoint=f'{encoders}/{name}/iter_3000.pth',
            pretrain=f'configs/pretrain/{method}/{name}.py',
        )
        for method, name in names.items()
    }
    for stage, names in dict(cifar10=pretraining, photos=of_photos).items()
}

probes = dict(
    addp='configs/cls/addp/addp_vit-toy_probe_1xb32-4e_cifar10-64px.py',
    darl='configs/cls/darl/darl-mse_vit-toy_probe_1xb32-4e_cifar10-32px.py',
    ddae='configs/cls/ddae/ddae-ddpm_unet-toy_probe_1xb32-4e_cifar10-32px.py',
)
classifiers = dict(
    addp='configs/cls/addp/addp_vit-toy_1xb64-20e_cifar10-64px.py',
    darl='configs/cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px.py',
    ddae='configs/cls/ddae/ddae-ddpm_unet-toy_1xb64-20e_cifar10-32px.py',
)
# From scratch, all layers have the same learning rate.
scratch = {'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.0}
detectors = dict(
    addp='configs/det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder.py',
    darl='configs/det/darl/mask-rcnn_darl-vit-toy_sfp_1xb4-500i_coco-folder.py',
    ddae='configs/det/ddae/mask-rcnn_ddae-ddpm-unet-toy_sfp_1xb4-500i_coco-folder.py',
)
segmentors = dict(
    addp='configs/seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112.py',
    darl='configs/seg/darl/upernet_darl-vit-toy_1xb8-600i_camvid-112x112.py',
    ddae='configs/seg/ddae/upernet_ddae-ddpm-unet-toy_1xb8-600i_camvid-112x112.py',
)

methods = {}
for method, name in dict(addp='ADDP', darl='DARL', ddae='DDAE').items():
    cifar10, photos = sources['cifar10'][method], sources['photos'][method]
    methods[method] = dict(
        title=name,
        probe=dict(config=probes[method], **cifar10),
        cls=dict(config=classifiers[method], **cifar10),
        det=dict(config=detectors[method], **photos),
        seg=dict(config=segmentors[method], **photos),
    )
    methods[f'{method}_scratch'] = dict(
        title=f'{name}, random weights',
        probe=dict(config=probes[method]),
        cls=dict(config=classifiers[method], options=scratch),
        det=dict(config=detectors[method]),
        seg=dict(config=segmentors[method]),
    )

# DDAE's classifiers read the block, at the time, that probed best.
for method in ('ddae', 'ddae_scratch'):
    methods[method]['cls']['best_cell'] = 'ddae'
