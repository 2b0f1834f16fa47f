# DDAE's pre-training on Tiny-ImageNet by the recipe of CIFAR-10, whose settings stand in for those
# that were never published. CONFIG names another config of CIFAR-10, from configs/ and without .py.
_base_ = '../_base_/datasets/tiny-imagenet_64_pretrain.py'

name = '{{$CONFIG:pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px}}'
config = f'../{name}.py'
variants = {
    'tiny-imagenet': {
        'model.img_size': 64,
        'train_dataloader.dataset': dict(_delete_=True, **_base_.train_dataloader.dataset),
        'work_dir': f'work_dirs/{name}/tiny-imagenet',
    }
}
