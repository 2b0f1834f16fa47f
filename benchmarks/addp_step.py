"""Time ADDP's training step beside the authors' own code.

`theirs` is the authors' model, out of a checkout; without one, `plain` is the paper's pseudocode at
its word: the token predictor twice, attention with its (N, N) weights in memory, convolutions over
copies of pixels. `ours` is this package's step, `tokens` the same with token ids computed ahead.

    python benchmarks/addp_step.py --addp CHECKOUT --out addp.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import harness
import torch
from mmengine.optim import build_optim_wrapper
from theirs import addp_vit_base
from torch import Tensor, nn
from torch.nn import functional as F

from mmaddp.apis.models import build_pretrainer
from mmaddp.engine.runs import load_config
from mmaddp.experiments.speed import timed_methods
from mmaddp.models import ADDP
from mmaddp.models.tokenizers.vqgan_layers import Upsample
from mmaddp.utils import run_tool

CONFIG = 'configs/pretrain/addp/addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px.py'


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('config', nargs='?', default=CONFIG, help='config of an ADDP (%(default)s)')
    parser.add_argument('--addp', type=Path, help='checkout of ChangyaoTian/ADDP, for its ViT-B')
    parser.add_argument('--frozen-dtype', help='of our frozen parts: bfloat16 or float16')
    return harness.parse_arguments(parser, arguments, batch_size=2)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0) -> Tensor:
    """Attention with its weights in memory."""
    weights = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    return F.dropout(weights.softmax(dim=-1), dropout_p) @ v


def plain_upsample(layer: Upsample, x: Tensor) -> Tensor:
    """Every pixel four times, then the convolution."""
    return layer.conv(F.interpolate(x, scale_factor=2, mode='nearest'))


def plain_predictions(
    model: ADDP, z_0: Tensor, mask_t: Tensor, mask_other: Tensor
) -> tuple[Tensor, ...]:
    """The token predictor, pass by pass."""
    masks = model.prediction_masks(mask_t, mask_other)
    with torch.no_grad():
        return tuple(model.token_predictor(z_0, mask) for mask in masks)


@contextmanager
def plain_formulation() -> Iterator[None]:
    """Compute as the pseudocode says."""
    with ExitStack() as patches:
        for owner, name, plain in (
            (F, 'scaled_dot_product_attention', plain_attention),
            (Upsample, 'forward', plain_upsample),
            (ADDP, 'predict_tokens', plain_predictions),
        ):
            patches.enter_context(mock.patch.object(owner, name, plain))
        yield


class Step:
    """Training steps of one model."""

    def __init__(self, model: nn.Module, optim_wrapper: dict, args: argparse.Namespace) -> None:
        # The benchmark casts by itself.
        settings = {k: v for k, v in optim_wrapper.items() if k not in ('dtype', 'loss_scale')}
        self.model, self.args = model.to(args.device).train(), args
        self.wrapper = build_optim_wrapper(self.model, {**settings, 'type': 'OptimWrapper'})
        self.losses: list[float] = []

    def __call__(self, number: int) -> harness.Seconds:
        """Seconds of each part; equal numbers draw equal masks."""
        torch.manual_seed(number)
        watch = harness.Stopwatch(self.args.device)
        with harness.autocast(self.args):
            loss = self.loss(watch)
        watch('loss')
        self.wrapper.backward(loss)
        watch('backward')
        self.wrapper.step()
        self.wrapper.zero_grad()
        watch('optimizer')
        self.losses.append(loss.item())
        return watch.seconds

    def loss(self, watch: harness.Stopwatch) -> Tensor:
        """The forward pass of the authors' model."""
        return self.model(self.images)[0]


class OurStep(Step):
    """Training steps of our model in one formulation."""

    form = 'ours'

    def loss(self, watch: harness.Stopwatch) -> Tensor:
        """The forward pass, each step of algorithm 1 timed."""
        plain = self.form == 'plain'
        self.model.set_frozen_dtype(None if plain else self.args.frozen_dtype)
        timed = mock.patch.multiple(self.model, create=True, **timed_methods(self.model, watch))
        with timed, plain_formulation() if plain else nullcontext():
            return self.model(self.images, mode='loss')['loss']


def build_steps(args: argparse.Namespace) -> dict[str, Step]:
    """The steps of each form; all of ours train one model."""
    config = load_config(args.config)
    torch.manual_seed(0)
    model = build_pretrainer(config)
    side = config.model.encoder.img_size
    images = torch.rand(args.batch_size, 3, side, side, device=args.device)
    steps: dict[str, Step] = {}
    if args.addp:
        steps['theirs'] = Step(addp_vit_base(args.addp), config.optim_wrapper, args)
    for form in ('ours', 'tokens') if args.addp else ('plain', 'ours', 'tokens'):
        steps[form] = OurStep(model, config.optim_wrapper, args)
        steps[form].form = form
    for form, step in steps.items():
        step.images = model.tokenize(images) if form == 'tokens' else images
    return steps


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_arguments(arguments)
    steps = build_steps(args)
    figures = harness.compare(steps, args)
    for form, step in steps.items():
        figures[form]['losses'] = step.losses[args.warmup :]
    harness.write(args, figures)


if __name__ == '__main__':
    run_tool(main)
