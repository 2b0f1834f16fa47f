"""What DDAE's paper and its authors' repository report, by the config that follows the row."""

from __future__ import annotations

# FID and linear accuracy of the best checkpoint each: the table of the authors' repository.
REPOSITORY = {
    'ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px': [3.62, 90.05],
    'ddae-edm_unet_4xb128-amp-2000e_cifar10-32px': [3.56, 90.44],
    'ddae-ddpm_ddpmpp_4xb64-amp-2000e_cifar10-32px': [2.98, 93.97],
    'ddae-edm_ddpmpp_4xb64-amp-2000e_cifar10-32px': [2.23, 94.5],
    'ddae-edm_ddpmpp-aug_8xb64-amp-4000e_cifar10-32px': [2.12, 95.49],
}
# Fine-tuned: the paper's tables 3 and 4.
FINE_TUNED = {
    'ddae-edm_ddpmpp_1xb128-amp-100e_cifar10-32px': [97.2],
    'ddae-ddpm_dit-xl_4xb32-amp-100e_cifar10-256px': [98.4],
    'ddae-edm_ddpmpp_1xb128-amp-100e_tiny-imagenet-64px': [69.4],
    'ddae-ddpm_dit-xl_4xb32-amp-100e_tiny-imagenet-256px': [77.8],
}
# The paper's table 3: an encoder pre-trained on ImageNet, fine-tuned on CIFAR-10.
IMAGENET_TRANSFER = 98.1
FIGURES = {**REPOSITORY, **FINE_TUNED}
# The paper's table 2: FID and linear accuracy on Tiny-ImageNet.
TINY_IMAGENET = '| EDM, DDPM++ | 2000 | 19.5 | 50.0 | table 2 (paper) |'
