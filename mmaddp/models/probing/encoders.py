"""Pre-trained encoders as probing sees them: layers by name, one vector an image from each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from mmaddp.utils import UserError

from ..backbones import ADDPViT
from ..backbones.plain_vit import PlainViT
from ..pretrainers import ADDP, DARL, DDAE


class ProbedEncoder(nn.Module, ABC):
    """The layers of a pre-trained model and their features, the same for all methods.

    Attributes:
        method: 'ADDP', 'DARL' or 'DDAE'.
        layers: Names of the layers, in the order of computation.
        num_levels: Noise levels, which are numbered from 1; 0 where the encoder takes clean images.
        backbone: The network that has the weights.
    """

    method: str
    layers: list[str]
    num_levels: int = 0
    backbone: nn.Module

    @abstractmethod
    def channels(self, layer: str) -> int:
        """C of a layer's features."""

    @abstractmethod
    def maps(
        self, inputs: Tensor, level: int | None, noise: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """Features of some layers with their places: (B, C, h, w) or (B, N, C) by name.

        Args:
            inputs: What :meth:`inputs` gives.
            level: As :meth:`features` takes it.
            noise: As ``inputs``.
            layers: As :meth:`features` takes them.
        """

    @abstractmethod
    def load(self, path: str | Path) -> None:
        """Fill the backbone from any file that holds it: a checkpoint of its pre-training too.

        Raises:
            UserError: The file cannot be read or does not fit; nothing is loaded then.
        """

    def inputs(self, images: Tensor) -> Tensor:
        """What noise is added to and the network is fed with, the same for all noise levels.

        Args:
            images: As :meth:`features` takes them.

        Returns:
            Images or latents, (B, C_in, h, w).
        """
        return images

    def features(
        self,
        images: Tensor,
        level: int | None,
        noise: Tensor | None,
        layers: Sequence[str],
    ) -> dict[str, Tensor]:
        """Features of some layers, averaged over all places (section 3.2 of DDAE).

        One pass is made, that ends behind the last of these layers.

        Args:
            images: (B, 3, H, W), as the data preprocessor of the pre-training gives them.
            level: Number of the noise level, 1 to ``num_levels``; None for encoders without.
            noise: Standard normal, as :meth:`inputs` of the images; drawn when None, and not
                looked at without a level.
            layers: Their names.

        Returns:
            (B, C), float32, by name.

        Raises:
            UserError: There is no such layer or level.
        """
        return self.pooled(self.inputs(images), level, noise, layers)

    def pooled(
        self, inputs: Tensor, level: int | None, noise: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """As :meth:`features`, of what :meth:`inputs` gives."""
        self.check(layers, level)
        maps = self.maps(inputs, level, noise, layers)
        return {layer: average(maps[layer]) for layer in layers}

    def time(self, level: int) -> float | None:
        """The network's time input at a level; None for encoders without."""
        return None

    def check(self, layers: Sequence[str], level: int | None) -> None:
        """Refuse layers and noise levels that do not exist.

        Raises:
            UserError: Names those that do.
        """
        unknown = [layer for layer in layers if layer not in self.layers]
        if unknown or not layers:
            raise UserError(
                f'layers {", ".join(map(str, unknown)) or "none at all"}: this {self.method} has '
                f'{", ".join(self.layers)}'
            )
        if self.num_levels == 0 and level is not None:
            raise UserError(
                f'noise level {level}: {self.method} takes clean images, leave the levels out'
            )
        if self.num_levels and level not in range(1, self.num_levels + 1):
            raise UserError(
                f'noise level {level}: this {self.method} has the levels 1 to {self.num_levels}'
            )


class ViTEncoder(ProbedEncoder):
    """The blocks of a plain ViT, 'block_1', 'block_2' and so on; images are clean.

    Class and start tokens are not averaged over, and the last block's features are those behind
    the final norm, as in the linear evaluations of both papers.

    Args:
        backbone: The ViT.
    """

    def __init__(self, backbone: PlainViT) -> None:
        super().__init__()
        self.backbone = backbone
        self.layers = [f'block_{number}' for number in range(1, backbone.num_layers + 1)]

    def channels(self, layer: str) -> int:
        """C, the same for all blocks."""
        return self.backbone.embed_dims

    def maps(
        self, inputs: Tensor, level: int | None, noise: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """See the base class."""
        self.backbone.out_indices = sorted(self.layers.index(layer) for layer in layers)
        names = [self.layers[index] for index in self.backbone.out_indices]
        return dict(zip(names, self.backbone(inputs)))

    def load(self, path: str | Path) -> None:
        """See :meth:`Encoder.load`."""
        self.backbone.load(path)


class ADDPEncoder(ViTEncoder):
    """ADDP's encoder, of images in [0, 1] as its pre-training has them.

    Args:
        model: The pre-trainer; what it has besides the encoder is not kept.

    Raises:
        UserError: The encoder is no ViT.
    """

    method = 'ADDP'

    def __init__(self, model: ADDP) -> None:
        if not isinstance(model.encoder, ADDPViT):
            raise UserError(
                f'encoder.encoder.type={type(model.encoder).__name__}: only the blocks of ADDPViT '
                'have names to be probed by; take a linear config of configs/cls instead'
            )
        super().__init__(model.encoder)
        for name in ('mean', 'std'):
            self.register_buffer(name, getattr(model, name), persistent=False)

    def inputs(self, images: Tensor) -> Tensor:
        """Normalized images."""
        return (images.float() - self.mean) / self.std


class DARLEncoder(ViTEncoder):
    """DARL's backbone under the causal mask of its pre-training, fed with all patches.

    Args:
        model: The pre-trainer; what it has besides the backbone is not kept.

    Raises:
        UserError: The backbone sees VQ tokens, not pixels.
    """

    method = 'DARL'

    def __init__(self, model: DARL) -> None:
        if model.inputs != 'pixels':
            raise UserError(
                f"encoder.inputs='{model.inputs}': probing feeds pixels; take a model with "
                "inputs='pixels'"
            )
        super().__init__(model.backbone)
        self.backbone.causal = True


class DDAEEncoder(ProbedEncoder):
    """DDAE's network at a noise level: 'out_1' and so on of a UNet, 'layer-0' and so on of DiT.

    Args:
        model: The pre-trainer, which is kept for its process.
    """

    method = 'DDAE'

    def __init__(self, model: DDAE) -> None:
        super().__init__()
        self.model = model
        self.num_levels = model.process.num_levels
        self.layers = model.network.layers

    @property
    def backbone(self) -> nn.Module:
        """The network that denoises."""
        return self.model.network

    def channels(self, layer: str) -> int:
        """C of a layer."""
        return self.backbone.channels(layer)

    def maps(
        self, inputs: Tensor, level: int | None, noise: Tensor | None, layers: Sequence[str]
    ) -> dict[str, Tensor]:
        """See the base class."""
        return self.model.forward_intermediates(inputs, layers, level, noise)

    def inputs(self, images: Tensor) -> Tensor:
        """Images as they are, or their latents where there is an autoencoder."""
        return self.model.encode(images)

    def time(self, level: int) -> float:
        """See the base class."""
        process = self.model.process
        return float(process.time(process.level(level)))

    def load(self, path: str | Path) -> None:
        """See :meth:`Encoder.load`."""
        self.backbone.load(path)


ENCODERS = {ADDP: ADDPEncoder, DARL: DARLEncoder, DDAE: DDAEEncoder}


def probed_encoder(model: nn.Module) -> ProbedEncoder:
    """The encoder of a pre-trainer.

    Args:
        model: :class:`ADDP`, :class:`DARL` or :class:`DDAE`, on any device, in any mode.

    Returns:
        The encoder, which shares the model's weights.

    Raises:
        UserError: The model is none of these, or is one that cannot be probed.
    """
    for method, encoder in ENCODERS.items():
        if isinstance(model, method):
            return encoder(model)
    raise UserError(
        f'{type(model).__name__} is not probed: take a model of type '
        f'{", ".join(f"mmaddp.{method.__name__}" for method in ENCODERS)}'
    )


def average(features: Tensor) -> Tensor:
    """Average over all places: (B, C, h, w) or (B, N, C) -> (B, C), float32."""
    places = (2, 3) if features.ndim == 4 else 1
    return features.float().mean(places)
