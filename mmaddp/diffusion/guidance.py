"""Classifier guidance of whole images: DDAE's section 4.1.3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable

import torch
from torch import Tensor

from .processes import DiffusionProcess

# (x_t, level) -> D(x_t, t) (B, 3, H, W) and the classifier's logits (B, K).
DenoiserAndClassifier = Callable[[Tensor, float], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class ClassifierGuidance:
    """A denoiser for any sampler, guided toward labels by a noise-conditional classifier.

    Guidance adds s grad_{x_t} log p_t(y | x_t) to the score. By Tweedie's formula
    ``D(x_t, t) = (x_t + sigma_t^2 score) / alpha_t``, so the guided denoiser is

        D + s sigma_t^2 / alpha_t grad_{x_t} log p_t(y | x_t).

    The samplers then follow classifier guidance:

    * Ancestral: the mean moves by beta_t / sqrt(1 - beta_t) s grad, which is Song et al.'s (2021)
      step with the guided score. The paper's s Sigma_t grad with Sigma_t = beta_t, of Dhariwal and
      Nichol (2021), lacks the root, which is 0.99 or more for betas up to 0.02.
    * DDIM: epsilon moves by -sigma_t s grad, as algorithm 2 of Dhariwal and Nichol has it.
    * Heun: D moves by sigma^2 s grad, and the slope dx / dsigma by -sigma s grad.

    Clipping applies to the guided predictions. One pass of the network gives prediction and logits;
    a scale of 0 needs no backward pass.

    Args:
        process: The diffusion process.
        denoise_and_classify: Gives D(x_t, t) and logits from one forward pass.
        labels: (B,), y of each image of the batch.
        scale: s.
    """

    process: DiffusionProcess
    denoise_and_classify: DenoiserAndClassifier
    labels: Tensor
    scale: float

    def __call__(self, x_t: Tensor, level: Tensor | float) -> Tensor:
        """The guided prediction of the clean images (B, 3, H, W), without a gradient.

        Args:
            x_t: (B, 3, H, W).
            level: As for :meth:`DiffusionProcess.denoise`.
        """
        if not self.scale:
            with torch.no_grad():
                return self.denoise_and_classify(x_t, level)[0]
        with torch.enable_grad():
            x_t = x_t.detach().requires_grad_()
            x_0, logits = self.denoise_and_classify(x_t, level)
            log_probs = logits.log_softmax(-1).gather(1, self.labels[:, None])
            # The sum, since images do not depend on each other.
            (gradient,) = torch.autograd.grad(log_probs.sum(), x_t)
        # D + s sigma_t^2 / alpha_t grad log p_t(y | x_t)
        return x_0.detach() + self.scale * self.score_to_x0(x_t, level) * gradient

    def score_to_x0(self, x_t: Tensor, level: Tensor | float) -> Tensor:
        """sigma_t^2 / alpha_t, (B, 1, 1, 1), read off equation 1."""
        one = x_t.new_ones(len(x_t), 1, 1, 1)
        zero = torch.zeros_like(one)
        alpha = self.process.perturb(one, level, zero)
        sigma = self.process.perturb(zero, level, one)
        return sigma**2 / alpha
