"""Compare ADDP's training step with the plain formulation of the same numbers.

`plain` is the paper's pseudocode taken at its word: the token predictor twice, one batch after the
other; attention with its (N, N) weights in memory; convolutions over pixels that are copies of one
another. It is written here, to have something to compare with, and is not the authors' code.
`package` is this package's step, with the options that are given. `tokens` has the tokens of the
images computed ahead. The forms take turns, so that a busy machine slows all of them.

    python tools/analysis_tools/benchmark_pretraining.py --batch-size 2 --out addp.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F

from mmaddp.apis.benchmark import now, timed_methods
from mmaddp.apis.benchmark_forms import (
    PLAIN,
    Figures,
    add_form_arguments,
    check_counts,
    line,
    plain_optimizer,
    summarize,
    take_turns,
    write_figures,
)
from mmaddp.apis.models import build_pretrainer
from mmaddp.engine.explain import clear_errors
from mmaddp.engine.setup import load_config
from mmaddp.models import ADDP
from mmaddp.models.tokenizers.vqgan_layers import Upsample
from mmaddp.utils import run_tool

FORMS = (PLAIN, 'package', 'tokens')
STEPS = (*ADDP.timed_steps, 'loss', 'backward', 'optimizer')
CONFIG = 'configs/pretrain/addp/addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px.py'


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_form_arguments(parser, CONFIG, batch_size=2)
    parser.add_argument('--frozen-dtype', help="the package's frozen parts: bfloat16 or float16")
    return parser.parse_args(arguments)


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


class TrainingStep:
    """A model with its optimizer, and images to take steps on."""

    def __init__(self, args: argparse.Namespace) -> None:
        config = load_config(args.config, args.cfg_options)
        self.args, self.device = args, torch.device(args.device)
        torch.manual_seed(0)
        self.model = build_pretrainer(config).to(self.device).train()
        self.wrapper = plain_optimizer(self.model, config)
        side = config.model.encoder.img_size
        self.images = torch.rand(args.batch_size, 3, side, side, device=self.device)
        self.tokens = self.model.tokenize(self.images)

    def __call__(self, form: str, number: int) -> dict[str, float]:
        """Seconds of each part of one step, and its loss; equal numbers draw equal masks."""
        torch.manual_seed(number)
        self.model.set_frozen_dtype(self.args.frozen_dtype if form != PLAIN else None)
        dtype = getattr(torch, self.args.amp) if self.args.amp else None
        inputs = self.tokens if form == 'tokens' else self.images
        with plain_formulation() if form == PLAIN else nullcontext(), self.timed() as seconds:
            with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
                loss = self.model(inputs, mode='loss')['loss']
            self.mark('loss')
            self.wrapper.backward(loss)
            self.mark('backward')
            self.wrapper.step()
            self.wrapper.zero_grad()
            self.mark('optimizer')
        return {**seconds, 'loss_value': loss.item()}

    @contextmanager
    def timed(self) -> Iterator[dict[str, float]]:
        """Have the steps of algorithm 1 tell when they end."""
        self.seconds: dict[str, float] = {}
        self.last = now(self.args.device)
        with mock.patch.multiple(self.model, create=True, **timed_methods(self.model, self.mark)):
            yield self.seconds

    def mark(self, name: str) -> None:
        """End the part called ``name``."""
        ended = now(self.args.device)
        self.seconds[name], self.last = ended - self.last, ended


def compare(args: argparse.Namespace) -> Figures:
    """The figures of each form, and the losses of equal masks.

    Each step changes the weights for the form that comes next, and dropout is drawn by each form in
    its own way: the losses are the same with a learning rate of zero and no dropout alone.
    """
    step = TrainingStep(args)
    told = take_turns({form: partial(step, form) for form in FORMS}, args.warmup, args.runs)
    figures = summarize(told, STEPS, args.batch_size)
    for form, each in figures.items():
        each['losses'] = [run['loss_value'] for run in told[form]]
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the figures if asked."""
    args = parse_args(arguments)
    check_counts(args)
    with clear_errors():
        figures = compare(args)
    for form, each in figures.items():
        print(line(form, each))
    if args.out:
        write_figures(args.out, args, figures)


if __name__ == '__main__':
    run_tool(main)
