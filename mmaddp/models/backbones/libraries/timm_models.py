"""Networks of the library ``timm``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import timm
from timm.models import group_parameters, model_entrypoint, split_model_name_tag
from torch import Tensor, nn

from mmaddp.checkpoints.rules import Tensors
from mmaddp.utils import UserError

from .base import Library, depths_by_blocks, main_stack, nearest_names, normalize_map

# Arguments that let a network take images of any size, in the order in which they are tried.
ANY_SIZE = ({'dynamic_img_size': True}, {'strict_img_size': False}, {})

# Their blocks work on each token alone but for the attention, which knows no positions but rotary
# ones.
WINDOWED_MODULES = (
    'timm.models.vision_transformer',
    'timm.models.eva',
    'timm.layers.attention',
    'timm.layers.diff_attention',
)


class TimmModel(Library):
    """A network of ``timm.create_model``, by its name, without its classification head.

    Layers are timm's features: the blocks of a plain ViT ('block_1' and so on), the stages of a
    hierarchical network ('stage_1' and so on).
    """

    prefix = 'timm'

    @cached_property
    def options(self) -> dict[str, Any]:
        """Arguments of ``create_model`` that the network takes."""
        name, tag = split_model_name_tag(self.name)
        if not timm.is_model(name) or (tag and self.name not in timm.list_pretrained(f'{name}*')):
            known = timm.list_pretrained(f'{name}*') if timm.is_model(name) else timm.list_models()
            raise UserError(
                f'model=timm:{self.name}: timm {timm.__version__} has no such network: did you '
                f'mean {nearest_names(self.name, known) or "one of timm.list_models()"}?'
            )
        arguments = dict(self.arguments)
        if self.img_size:
            arguments['img_size'] = self.img_size
        return arguments

    def build(self) -> nn.Module:
        """See :class:`Library`."""
        # A network that does not take an argument raises a TypeError that names it.
        for any_size in ANY_SIZE:
            try:
                return timm.create_model(self.name, num_classes=0, **{**any_size, **self.options})
            except TypeError as error:
                # Not about `any_size`: an argument of the user's is wrong.
                if not set(any_size) or not any(name in str(error) for name in any_size):
                    raise
        raise AssertionError

    def fetch(self, network: nn.Module) -> list[str]:
        """Load timm's published weights through its hub, which are complete."""
        from timm.models import load_pretrained

        if not network.pretrained_cfg.get('hf_hub_id') and not network.pretrained_cfg.get('url'):
            raise UserError(f'pretrained=True: timm publishes no weights of {self.name}')
        module = importlib.import_module(model_entrypoint(self.base_name).__module__)
        load_pretrained(
            network, num_classes=0, filter_fn=getattr(module, 'checkpoint_filter_fn', None)
        )
        return []

    @property
    def base_name(self) -> str:
        """The name without the tag of its weights."""
        return split_model_name_tag(self.name)[0]

    def reductions(self, network: nn.Module) -> list[int]:
        """Strides of the features."""
        info = network.feature_info
        return [one['reduction'] for one in getattr(info, 'info', info)]

    def strides(self, network: nn.Module) -> dict[str, int]:
        """See :class:`Library`."""
        return dict(zip(self.layers(network), self.reductions(network)))

    def layers(self, network: nn.Module) -> list[str]:
        """See :class:`Library`."""
        strides = self.reductions(network)
        kind = 'block' if len({*strides}) == 1 else 'stage'
        return [f'{kind}_{number}' for number in range(1, len(strides) + 1)]

    def is_plain(self, network: nn.Module) -> bool:
        """Whether all features have one stride."""
        return len({*self.reductions(network)}) == 1

    def maps(
        self, network: nn.Module, x: Tensor, layers: Sequence[str], time: None
    ) -> dict[str, Tensor]:
        """See :class:`Library`; timm's ``forward_intermediates``."""
        names = self.layers(network)
        indices = sorted({names.index(layer) for layer in layers})
        plain = self.is_plain(network)
        # A hierarchical network norms its last stage only, if it has a norm at all.
        norm = self.norm == 'all' if plain else self.norm != 'none' and takes_norm(network)
        outputs = network.forward_intermediates(
            x, indices=indices, norm=norm, stop_early=True, intermediates_only=True
        )
        maps = {names[index]: output for index, output in zip(indices, outputs)}
        last = names[-1]
        if plain and self.norm == 'last' and last in maps and hasattr(network, 'norm'):
            maps[last] = normalize_map(network.norm, maps[last])
        return maps

    def pixel_statistics(self, network: nn.Module) -> tuple[Sequence[float], Sequence[float]]:
        """See :class:`Library`."""
        return network.pretrained_cfg['mean'], network.pretrained_cfg['std']

    def input_size(self, network: nn.Module) -> tuple[int, int]:
        """See :class:`Library`."""
        return self.img_size or tuple(network.pretrained_cfg['input_size'][-2:])

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """See :class:`Library`."""
        return list(getattr(network, 'stages', ())) or main_stack(network)

    def depths(self, network: nn.Module) -> dict[str, int]:
        """By timm's own ``group_matcher``, where the network has one."""
        if not hasattr(network, 'group_matcher'):
            return depths_by_blocks(network, self.blocks(network))
        matcher = network.group_matcher(coarse=False)
        return dict(group_parameters(network, matcher, reverse=True))

    def attentions(self, network: nn.Module) -> list[nn.Module]:
        """See :class:`Library`: those of timm's ViTs and EVAs."""
        blocks = list(getattr(network, 'blocks', ()))
        attentions = [getattr(block, 'attn', None) for block in blocks]
        known = all(type(m).__module__ in WINDOWED_MODULES for m in (*blocks, *attentions))
        return attentions if known else []

    def recompute(self, network: nn.Module) -> None:
        """See :class:`Library`."""
        try:
            network.set_grad_checkpointing(True)
        except (AssertionError, AttributeError):
            super().recompute(network)

    def translate(self, state: Tensors, network: nn.Module) -> Tensors:
        """By timm's own reader of published files of this network, which also resizes."""
        module = importlib.import_module(model_entrypoint(self.base_name).__module__)
        convert = getattr(module, 'checkpoint_filter_fn', None)
        return state if convert is None else dict(convert(dict(state), network))

    @property
    def dropped(self) -> dict[str, str]:
        """See :class:`Library`."""
        heads = ('head', 'head_dist', 'classifier', 'fc', 'last_linear', 'fc_norm', 'attn_pool')
        why = 'another task has another head'
        return {**super().dropped, **{rf'{head}[.0-9]': why for head in heads}}


def takes_norm(network: nn.Module) -> bool:
    """Whether ``forward_intermediates`` can apply the final norm."""
    return 'assert not norm' not in inspect.getsource(type(network).forward_intermediates)
