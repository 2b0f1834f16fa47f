"""DDAE's small configs train; the averaged weights are saved, resumed and what others read."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from tiny_runs import RUNS, write_images
from torch import Tensor, nn

from mmaddp.apis.models import load_pretrainer
from mmaddp.checkpoints import convert_checkpoint, read_checkpoint
from mmaddp.engine import Runner
from mmaddp.engine.runs import train
from mmaddp.models import DDAEUNet

CONFIGS = [
    'ddae-ddpm_unet-toy_1xb64-3000i_cifar10-32px',
    'ddae-edm_unet-toy_1xb64-3000i_cifar10-32px',
    'ddae-ddpm_unet-toy_1xb64-3000i_image-folder-64px',
]
STEPS = 3


@pytest.fixture(scope='module')
def images(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('data') / 'cifar10'
    write_images(root / 'train', per_class=2)
    return root


def assert_every_weight_learns(runner: Runner) -> None:
    losses = runner.message_hub.log_scalars['train/loss'].data[0]
    assert all(math.isfinite(loss) for loss in losses)
    moments = runner.optim_wrapper.optimizer.state
    assert {id(p) for p in moments} == {id(p) for p in runner.model.parameters()}
    assert all(state['exp_avg'].any() for state in moments.values())


def short(repository: Path, name: str, images: Path, work_dir: Path, steps: int) -> Config:
    """The config for some batches of the images, in this process."""
    cfg = Config.fromfile(repository / 'configs/pretrain/ddae' / f'{name}.py')
    cfg.work_dir, cfg.experiment_name = str(work_dir), f'run{next(RUNS)}'
    loader = dict(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.update(loader)
    cfg.train_dataloader.dataset.data_root = str(images)
    cfg.train_cfg.max_iters = steps
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.interval = 1
    cfg.randomness = dict(seed=1)
    return cfg


def last_decays() -> list[float]:
    """The average's decays at the updates behind the first, by ema_pytorch's rule."""
    return [1 - (1 + step) ** (-2 / 3) for step in range(1, STEPS)]


@pytest.fixture(scope='module')
def trained(repository, images, tmp_path_factory) -> Path:
    """The work folder of the first config's run."""
    work_dir = tmp_path_factory.mktemp('runs') / 'whole'
    assert_every_weight_learns(train(short(repository, CONFIGS[0], images, work_dir, STEPS)))
    return work_dir


@pytest.mark.parametrize('name', CONFIGS[1:])
def test_small_pretrainings_train_every_weight(name, repository, images, tmp_path):
    cfg = short(repository, name, images, tmp_path / 'run', steps=1)
    assert_every_weight_learns(train(cfg))


def weights(work_dir: Path, step: int, key: str = 'state_dict') -> dict[str, Tensor]:
    return torch.load(work_dir / f'iter_{step}.pth', weights_only=False)[key]


def test_a_checkpoint_has_the_average_where_others_look(trained):
    """The raw weights of a step are under ``ema_state_dict``, behind 'module.'."""
    raw = [weights(trained, step, 'ema_state_dict') for step in range(1, STEPS + 1)]
    for name, saved in weights(trained, STEPS).items():
        average = raw[0][f'module.{name}']
        for decay, later in zip(last_decays(), raw[1:]):
            average = decay * average + (1 - decay) * later[f'module.{name}']
        assert torch.allclose(saved, average, atol=1e-6), name
    moved = raw[-1]['module.network.conv_in.weight']
    assert not torch.allclose(weights(trained, STEPS)['network.conv_in.weight'], moved, atol=1e-6)


@pytest.mark.generations
def test_the_average_survives_a_resume(trained, repository, images, tmp_path):
    shutil.copy(trained / f'iter_{STEPS - 1}.pth', tmp_path)
    train(short(repository, CONFIGS[0], images, tmp_path, STEPS), 'auto')
    for key in ('state_dict', 'ema_state_dict'):
        one, other = (weights(folder, STEPS, key) for folder in (trained, tmp_path))
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            assert torch.equal(tensor, other[name]), (key, name)


def below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}


def assert_equal_weights(module: nn.Module, expected: dict[str, Tensor]) -> None:
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_the_average_is_what_encoders_start_from(trained, load_config):
    path = trained / f'iter_{STEPS}.pth'
    average = below(weights(trained, STEPS), 'network.')
    converted = convert_checkpoint(read_checkpoint(path))
    assert converted.keys() == average.keys()
    assert all(torch.equal(tensor, average[name]) for name, tensor in converted.items())
    cfg = load_config(f'pretrain/ddae/{CONFIGS[0]}')
    init_default_scope(cfg.default_scope)
    settings = {key: value for key, value in cfg.model.network.items() if key != 'type'}
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    settings.update(process=cfg.model.process, time=0.01, init_cfg=init_cfg)
    encoder = DDAEUNet(**settings, out_blocks=['out_2'])
    encoder.init_weights()
    assert_equal_weights(encoder, average)


def test_the_average_is_what_generates(trained, repository):
    config = repository / 'configs/pretrain/ddae' / f'{CONFIGS[0]}.py'
    model = load_pretrainer(config, trained / f'iter_{STEPS}.pth', 'cpu')
    assert_equal_weights(model.network, below(weights(trained, STEPS), 'network.'))
