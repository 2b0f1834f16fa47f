"""DDAE's UNets, small, and the settings of the published ones."""

import torch

from mmaddp.models import DDAEUNet

DDPM = dict(channel_multipliers=(1, 2, 2, 2), attention_stages=(1,), num_blocks=2)
DDPMPP = dict(
    channel_multipliers=(2, 2, 2),
    attention_stages=(1,),
    num_blocks=4,
    resblock_updown=True,
    augment_dim=9,
)
PUBLISHED = {'ddpm': DDPM, 'ddpmpp': DDPMPP}
# Two resolutions, both ways to change them.
TINY = dict(base_channels=32, channel_multipliers=(1, 2), num_blocks=1, dropout=0.0)
TINY_PP = dict(TINY, resblock_updown=True, augment_dim=2)
BOTH = [TINY, TINY_PP]
TIME = 0.25


def build(settings, seed=0, **more):
    torch.manual_seed(seed)
    return DDAEUNet(**{**settings, **more}).eval()


def encoder_of(model, settings, *out_blocks, **more):
    """A truncated network with the same weights."""
    encoder = build(settings, seed=1, out_blocks=out_blocks, time=TIME, **more)
    state = model.state_dict()
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    return encoder


def times(count, value=TIME):
    return torch.full((count,), value)


def training_file(weights):
    """What DDAE's authors save, given a network in their names."""
    last = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    return {
        'MODEL': {f'module.nn_model.{name}': tensor for name, tensor in last.items()},
        'EMA': {
            'initted': torch.tensor(True),
            'step': torch.tensor(3),
            **{f'online_model.nn_model.{name}': tensor for name, tensor in last.items()},
            **{f'ema_model.nn_model.{name}': tensor for name, tensor in weights.items()},
        },
        'opt': {'state': {}, 'param_groups': []},
    }
