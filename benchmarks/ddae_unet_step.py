"""Time the training step of DDAE's UNets beside its authors' own network.

`theirs` is the authors' network, out of a checkout; without one, `plain` is its attention written
here, with its (N, N) weights in memory. `ours` is this package's, `channels-last` also has the
network's `channels_last=True`. All have the same weights, and what is printed as `off` is how far
their predictions are from those of the first.

    python benchmarks/ddae_unet_step.py --ddae CHECKOUT --out unet.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import harness
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from theirs import DDAEAuthorsUNet
from torch import Tensor
from torch.nn import functional as F

from mmaddp.engine.runs import load_config
from mmaddp.utils import run_tool

CONFIG = 'configs/pretrain/ddae/ddae-ddpm_unet_4xb128-amp-2000e_cifar10-32px.py'


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', nargs='?', default=CONFIG, help='config of a DDAE (%(default)s)')
    parser.add_argument('--ddae', type=Path, help='checkout of FutureXiang/ddae')
    return harness.parse_arguments(parser, arguments, batch_size=8)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: None = None) -> Tensor:
    """Softmax(Q K) V with its weights in memory; both factors are scaled, as the authors do."""
    scale = q.shape[-1] ** -0.25
    weights = torch.einsum('bhid,bhjd->bhij', q * scale, k * scale).softmax(dim=-1)
    return torch.einsum('bhij,bhjd->bhid', weights, v)


@contextmanager
def plain_formulation() -> Iterator[None]:
    """Compute as the authors do."""
    with mock.patch.object(F, 'scaled_dot_product_attention', plain_attention):
        yield


class Step:
    """Training steps of one form of a config's model."""

    def __init__(self, form: str, args: argparse.Namespace) -> None:
        config = load_config(args.config)
        init_default_scope(config.get('default_scope') or 'mmaddp')
        config.model.network.channels_last = form == 'channels-last'
        torch.manual_seed(0)
        self.model, self.args = MODELS.build(config.model), args
        if form == 'theirs':
            dropout = config.model.network.get('dropout', 0.1)
            self.model.network = DDAEAuthorsUNet(args.ddae, self.model.network, dropout)
        self.model.to(args.device)
        self.formulation = plain_formulation if form == 'plain' else nullcontext
        # The benchmark casts by itself.
        settings = {k: v for k, v in config.optim_wrapper.items() if k not in ('dtype', 'type')}
        self.wrapper = build_optim_wrapper(self.model, dict(settings, type='OptimWrapper'))
        side, generator = self.model.img_size, torch.Generator().manual_seed(0)
        images = torch.rand(args.batch_size, 3, side, side, generator=generator)
        self.images = (2 * images - 1).to(args.device)

    def __call__(self, number: int) -> harness.Seconds:
        """Seconds of each part; equal numbers draw equal noise."""
        torch.manual_seed(number)
        self.model.train()
        watch = harness.Stopwatch(self.args.device)
        with self.formulation():
            with harness.autocast(self.args):
                loss = self.model(self.images, mode='loss')['loss']
            watch('forward')
            self.wrapper.backward(loss)
        watch('backward')
        self.wrapper.step()
        self.wrapper.zero_grad()
        watch('optimizer')
        return watch.seconds

    @torch.no_grad()
    def predict(self) -> Tensor:
        """What the network makes of the batch, without dropout."""
        self.model.eval()
        times = torch.linspace(0.1, 0.9, len(self.images)).to(self.images)
        with self.formulation():
            return self.model.predict(self.images, times)


def build_steps(args: argparse.Namespace) -> dict[str, Step]:
    """The steps of each form, the baseline first."""
    baseline = 'theirs' if args.ddae else 'plain'
    steps = {form: Step(form, args) for form in (baseline, 'ours', 'channels-last')}
    if args.ddae:
        weights = steps['theirs'].model.network.converted()
        for form in ('ours', 'channels-last'):
            steps[form].model.network.load_state_dict(weights)
    return steps


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_arguments(arguments)
    steps = build_steps(args)
    predictions = {form: step.predict() for form, step in steps.items()}
    first = next(iter(predictions.values()))
    off = {form: (p - first).abs().max() / first.abs().max() for form, p in predictions.items()}
    figures = harness.compare(steps, args)
    for form, distance in off.items():
        figures[form]['off'] = distance.item()
        print(f'{form:14} off {distance:.0e}')
    harness.write(args, figures)


if __name__ == '__main__':
    run_tool(main)
