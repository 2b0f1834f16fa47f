# Noise-conditional classifiers (section 4.1.3 of DDAE) on other networks, and their supervised
# controls. The config itself reads DDPM's UNet, pre-trained on CIFAR-10.
_base_ = '../_base_/schedules/ddae-finetune_100e.py'

config = '../cls/ddae/ddae-ddpm_unet_noise-conditional_1xb128-15e_cifar10-32px.py'

edm = {'model.pretrainer.process': dict(_delete_=True, type='mmaddp.EDM')}
edm_ddpmpp = {
    **edm,
    'model.pretrainer.network.channel_multipliers': (2, 2, 2),
    'model.pretrainer.network.num_blocks': 4,
    'model.pretrainer.network.resblock_updown': True,
    'model.pretrainer.network.dropout': 0.13,
    'model.layer': 'out_7',
}
# On two CPU cores in minutes. The block is the middle one on the way up.
toy = {
    'model.pretrainer.network.base_channels': 32,
    'model.pretrainer.network.channel_multipliers': (1, 2, 3),
    'model.pretrainer.network.attention_stages': (1,),
    'model.pretrainer.network.num_blocks': 1,
    'model.layer': 'out_4',
}
# The same truncated network, trained as a whole from random weights. The paper's control is a
# WideResNet-28-10 of 200 epochs; the recipe is that of fine-tuning, which is ours.
warmup, cosine = _base_.param_scheduler
scratch = {
    'model.frozen': False,
    'model.pretrainer.network.init_cfg': None,
    'optim_wrapper': dict(_delete_=True, **_base_.optim_wrapper),
    'param_scheduler': [warmup, dict(cosine, end=200)],
    'train_cfg': dict(by_epoch=True, max_epochs=200, val_interval=200),
    'default_hooks.checkpoint': dict(_delete_=True, **_base_.default_hooks.checkpoint),
}
encoder = 'model.pretrainer.network.init_cfg.checkpoint'
file = '{{$ENCODER:work_dirs/ddae-NAME}}'
variants = {
    'edm_ddpmpp': {
        **edm_ddpmpp,
        encoder: file.replace('NAME', 'edm_ddpmpp_4xb64-amp-2000e_cifar10-32px/epoch_2000.pth'),
    },
    'ddpm_unet-scratch': scratch,
    'edm_ddpmpp-scratch': {**edm_ddpmpp, **scratch},
    'ddpm_unet-toy': {
        **toy,
        encoder: file.replace('NAME', 'ddpm_unet-toy_1xb64-3000i_cifar10-32px/iter_3000.pth'),
    },
    'edm_unet-toy': {
        **edm,
        **toy,
        'model.pretrainer.network.dropout': 0.13,
        encoder: file.replace('NAME', 'edm_unet-toy_1xb64-3000i_cifar10-32px/iter_3000.pth'),
    },
}
