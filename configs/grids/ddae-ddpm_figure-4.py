# DDAE's figure 4: fewer noise levels over the same betas, or 1,000 over half of their range. The
# figure's points are not given in numbers.
config = '../pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px.py'
variants = {
    't-64': {'model.process.num_timesteps': 64},
    't-256': {'model.process.num_timesteps': 256},
    't-512': {'model.process.num_timesteps': 512},
    'betas-smaller': {'model.process.beta_end': 0.01005},
    'betas-larger': {'model.process.beta_start': 0.01005},
}
