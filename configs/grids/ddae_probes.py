# DDAE's linear probing of the other UNets of its authors' repository, on Tiny-ImageNet too, and of
# figure 4's ablations. The config itself probes DDPM's UNet on CIFAR-10.
_base_ = '../_base_/datasets/tiny-imagenet_64.py'

config = '../cls/ddae/ddae-ddpm_unet_probe_1xb128-15e_cifar10-32px.py'

# The authors' grid has the levels 3, 4 and 5 of 18.
edm = {
    'model.encoder.process': dict(_delete_=True, type='mmaddp.EDM'),
    'model.encoder.network.dropout': 0.13,
    'model.levels': [2, 3, 4, 5, 6, 7, 9],
}
ddpmpp = {
    'model.encoder.network.channel_multipliers': (2, 2, 2),
    'model.encoder.network.num_blocks': 4,
    'model.encoder.network.resblock_updown': True,
}
# The recipe of CIFAR-10.
tiny_imagenet = {
    'model.encoder.img_size': 64,
    'model.head.num_classes': 200,
    **{
        f'{split}_dataloader': dict(_delete_=True, **_base_[f'{split}_dataloader'])
        for split in ('train', 'val', 'test')
    },
}
networks = {
    'edm_unet': edm,
    'ddpm_ddpmpp': ddpmpp,
    'edm_ddpmpp': {**edm, **ddpmpp},
    'edm_ddpmpp-aug': {
        **edm,
        **ddpmpp,
        'model.encoder.network.augment_dim': 9,
        'model.encoder.augment': 0.12,
    },
}
variants = {
    **networks,
    **{
        f'{name}_tiny-imagenet': {**options, **tiny_imagenet}
        for name, options in {'ddpm_unet': {}, **networks}.items()
        if name != 'edm_unet'
    },
    # Figure 4: the levels whose noise is nearest to that of the config's own.
    't-64': {
        'model.encoder.process.num_timesteps': 64,
        'model.levels': [1, 4, 6, 9, 17, 32, 62],
    },
    't-256': {
        'model.encoder.process.num_timesteps': 256,
        'model.levels': [1, 7, 12, 17, 32, 63, 123],
    },
    't-512': {
        'model.encoder.process.num_timesteps': 512,
        'model.levels': [1, 9, 16, 23, 45, 88, 173],
    },
    'betas-smaller': {
        'model.encoder.process.beta_end': 0.01005,
        'model.levels': [1, 14, 27, 41, 83, 168, 338],
    },
    # Its least noise is that of level 28 there.
    'betas-larger': {
        'model.encoder.process.beta_start': 0.01005,
        'model.levels': [1, 2, 4, 8, 16, 32, 58],
    },
}
