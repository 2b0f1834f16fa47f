# DDAE's UNet of 35.7M parameters by DDPM, truncated behind the block that probes best on CIFAR-10
# at the timestep that does, 11 of 1,000 (the authors' linear probing).
encoder = dict(type='mmaddp.DDAEUNet', out_blocks=('out_6',), time=0.011)
pixel_values = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
