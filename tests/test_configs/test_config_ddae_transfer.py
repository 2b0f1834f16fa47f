"""DDAE's transfer configs: the authors' layers and levels, the paper's sizes, and whole steps."""

import pytest
import torch
from config_tools import differences
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.model import BaseModule, revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmaddp.diffusion import DDPM, EDM
from mmaddp.registry import MODELS as OURS

CLS = 'cls/ddae/ddae-{}_1xb128-amp-100e_{}'
DIT = 'cls/ddae/ddae-ddpm_dit-xl_4xb32-amp-100e_{}-256px'
CIFAR, TINY = 'cifar10-32px', 'tiny-imagenet-64px'
UNETS = [CLS.format(kind, data) for kind in ('ddpm_unet', 'edm_ddpmpp') for data in (CIFAR, TINY)]
DITS = [DIT.format('cifar10'), DIT.format('tiny-imagenet')]
TOY_CLS = 'cls/ddae/ddae-ddpm_unet-toy_1xb64-20e_cifar10-32px'
TOY_DET = 'det/ddae/mask-rcnn_ddae-ddpm-unet-toy_sfp_1xb4-500i_coco-folder'
TOY_SEG = 'seg/ddae/upernet_ddae-ddpm-unet-toy_1xb8-600i_camvid-112x112'
DET = 'det/ddae/{}_ddae-{}_sfp_16xb4-lsj-25e_coco'
SEG = 'seg/ddae/upernet_ddae-{}_8xb2-amp-160k_ade20k-512x512'
ENCODERS = ('ddpm-unet', 'edm-ddpmpp', 'ddpm-dit-xl')
PYRAMIDS = [*(DET.format('mask-rcnn', kind) for kind in ENCODERS), TOY_DET]
# Each kind of encoder and each kind of head at least once.
STEPS = [
    UNETS[3],
    DITS[1],
    TOY_CLS,
    DET.format('cascade-mask-rcnn', 'ddpm-unet'),
    DET.format('mask-rcnn', 'ddpm-dit-xl'),
    SEG.format('edm-ddpmpp'),
    SEG.format('ddpm-dit-xl'),
    TOY_DET,
    TOY_SEG,
]
SIZE = 64


@OURS.register_module()
class EighthAutoencoder(BaseModule):
    """Latents are means of 8 x 8 pixels: the stride of Stable Diffusion's."""

    stride = 8

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(images, self.stride)


def on_meta(cfg: Config) -> torch.nn.Module:
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def millions(module: torch.nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


def shrunk(cfg: Config) -> torch.nn.Module:
    """The model of a config with few channels and without weights of a file."""
    init_default_scope(cfg.default_scope)
    backbone = cfg.model.backbone
    backbone.init_cfg = None
    if backbone.type == 'mmaddp.DDAEDiT':
        backbone.update(
            arch=dict(embed_dims=32, num_layers=15, num_heads=2),
            input_size=8,
            in_channels=3,
        )
        backbone.autoencoder = dict(type='mmaddp.EighthAutoencoder')
        channels = 32
    else:
        backbone.base_channels = 32
        channels = 32 * backbone.get('channel_multipliers', (1, 2))[1]
    resize_heads(cfg.model, channels)
    shrink_padding(cfg.model)
    sample_few_regions(cfg.model)
    torch.manual_seed(0)
    return revert_sync_batchnorm(MODELS.build(cfg.model)).train()


def resize_heads(model: dict, channels: int) -> None:
    if 'neck' in model:
        for key in {'in_channels', 'embed_dim'} & set(model.neck):
            model.neck[key] = channels
    if model.type == 'ImageClassifier':
        model.head.in_channels = channels
    if model.type == 'EncoderDecoder':
        out_channels = model.neck.get('out_channels', channels)
        model.decode_head.update(in_channels=4 * [out_channels], channels=16)
        model.auxiliary_head.update(in_channels=out_channels, channels=16)


def shrink_padding(model: dict) -> None:
    preprocessor = model.data_preprocessor
    if 'pad_size_divisor' in preprocessor:
        preprocessor.pad_size_divisor = SIZE
    if 'size' in preprocessor:
        preprocessor['size'] = (SIZE, SIZE)


def sample_few_regions(model: dict) -> None:
    if 'roi_head' not in model:
        return
    stages = model.train_cfg.rcnn
    for stage in stages if isinstance(stages, list) else [stages]:
        stage.sampler.num = 8
    model.train_cfg.rpn_proposal.max_per_img = 16


def batch(kind: str) -> dict:
    """Two images with what their task is told of them."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, SIZE, SIZE), generator=generator).byte() for _ in range(2)]
    return dict(inputs=images, data_samples=[sample(kind, i) for i in range(2)])


def sample(kind: str, label: int) -> object:
    size = (SIZE, SIZE)
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), batch_input_shape=size)
    if kind == 'cls':
        return DataSample(metainfo=meta).set_gt_label(label)
    if kind == 'seg':
        seg_map = torch.full((1, *size), label)
        return SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=seg_map))
    instances = InstanceData(
        bboxes=torch.tensor([[10.0, 15.0, 45.0, 50.0]]),
        labels=torch.tensor([0]),
        masks=BitmapMasks(torch.ones(1, *size).byte().numpy(), *size),
    )
    return DetDataSample(metainfo=meta, gt_instances=instances, ignored_instances=instances[:0])


@pytest.mark.parametrize('name', STEPS)
def test_a_step_reaches_every_parameter(name, load_config):
    """The truncated network has no parameter too many, and the heads fit it."""
    cfg = load_config(name)
    model = shrunk(cfg)
    kind = name.split('/')[0]
    data = model.data_preprocessor(batch(kind), training=True)
    assert -1 <= data['inputs'].min() < -0.9
    assert 0.9 < data['inputs'].max() <= 1
    losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    assert torch.isfinite(loss)
    loss.backward()
    unreached = [n for n, p in model.backbone.named_parameters() if p.grad is None]
    assert not unreached


@pytest.mark.parametrize('name', PYRAMIDS)
def test_pyramids_have_strides_4_to_64(name, load_config):
    """The toy's are 2 to 32, as those of toy ViTs with patches of 8 x 8 pixels."""
    powers = range(1, 6) if name == TOY_DET else range(2, 7)
    model = shrunk(load_config(name)).eval()
    with torch.no_grad():
        levels = model.extract_feat(torch.zeros(1, 3, SIZE, SIZE))
    assert [level.shape[-1] for level in levels] == [SIZE // 2**i for i in powers]
    assert model.rpn_head.prior_generator.strides == [(2**i, 2**i) for i in powers]


@pytest.mark.parametrize('name', [SEG.format('ddpm-unet'), SEG.format('edm-ddpmpp'), TOY_SEG])
def test_segmentation_maps_have_strides_4_to_32(name, load_config):
    """The toy's are 2 to 16."""
    powers = range(1, 5) if name == TOY_SEG else range(2, 6)
    model = shrunk(load_config(name)).eval()
    with torch.no_grad():
        maps = model.extract_feat(torch.zeros(1, 3, SIZE, SIZE))
    assert [m.shape[-1] for m in maps] == [SIZE // 2**i for i in powers]


@pytest.mark.parametrize('name', UNETS)
def test_unets_are_told_the_level_that_the_authors_probe(name, load_config):
    """t = 11 of 1,000 in DDPM, 4 of 18 in EDM; on Tiny-ImageNet the same."""
    backbone = load_config(name).model.backbone
    process, number = (EDM(), 4) if 'edm' in name else (DDPM(), 11)
    expected = float(process.time(torch.as_tensor(process.level(number))))
    assert backbone.time == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ('name', 'block', 'parameters'),
    [
        (UNETS[0], 'out_6', None),
        (UNETS[2], 'out_7', None),
        # Table 4: 40M, as section 3.1 writes 56M for 56.5, and 338M.
        (UNETS[3], 'out_8', 40.5),
        (DITS[0], 'layer-13', 338),
        (DITS[1], 'layer-13', 338),
    ],
)
def test_blocks_are_the_authors_and_sizes_the_papers(name, block, parameters, load_config):
    cfg = load_config(name)
    assert tuple(cfg.model.backbone.out_blocks) == (block,)
    if parameters is not None:
        assert millions(on_meta(cfg).backbone) == pytest.approx(parameters, abs=0.6)


def test_dits_timesteps_are_the_authors(load_config):
    assert [load_config(name).model.backbone.time for name in DITS] == [121, 81]


@pytest.mark.parametrize('name', [*UNETS, *DITS])
def test_fine_tuning_is_light(name, load_config):
    """Section 4: neither mixup nor cutmix; Adam, and 128 images as in the authors' probing."""
    cfg = load_config(name)
    assert cfg.model.get('train_cfg') is None
    assert cfg.model.head.loss.type == 'CrossEntropyLoss'
    crop, flip = cfg.train_dataloader.dataset.pipeline[1:3]
    assert (crop.padding, flip.type) == (4, 'RandomFlip')
    assert crop.crop_size == (32 if 'cifar' in name else 64)
    resized = [t.scale for t in cfg.test_dataloader.dataset.pipeline if t.type == 'Resize']
    assert resized == ([256] if 'dit' in name else [])
    assert [t.scale for t in cfg.train_dataloader.dataset.pipeline if t.type == 'Resize'] == resized
    assert cfg.optim_wrapper.optimizer == dict(type='Adam', lr=1e-4)
    assert cfg.auto_scale_lr.base_batch_size == 128
    classes = 10 if 'cifar' in name else 200
    assert cfg.model.head.num_classes == cfg.model.data_preprocessor.num_classes == classes
    assert cfg.best_cell == 'none'


def test_small_classifiers_share_darls_recipe(load_config):
    says = differences(
        load_config('cls/darl/darl-mse_vit-toy_1xb64-20e_cifar10-32px'), load_config(TOY_CLS)
    )
    others = {k for k in says if not k.startswith(('model.', 'best_cell'))}
    assert others == {
        'optim_wrapper.paramwise_cfg.layer_decay_rate',
        'optim_wrapper.clip_grad.max_norm',
    }


@pytest.mark.parametrize(
    ('ours', 'addps'),
    [
        (TOY_DET, 'det/addp/mask-rcnn_addp-vit-toy_sfp_1xb4-500i_coco-folder'),
        (TOY_SEG, 'seg/addp/upernet_addp-vit-toy_1xb8-600i_camvid-112x112'),
        (SEG.format('ddpm-dit-xl'), 'seg/addp/upernet_addp-vit-l_8xb2-amp-160k_ade20k-512x512'),
    ],
)
def test_dense_recipes_are_addps_but_for_the_encoder(ours, addps, load_config):
    check_recipes_agree(load_config(ours), load_config(addps))


def test_detection_takes_addps_25_epochs(load_config, load_variant):
    addp = load_variant('vitdet_schedules', '25e')
    addp.pop('work_dir')
    check_recipes_agree(load_config(PYRAMIDS[0]), addp)


def check_recipes_agree(ours: Config, addps: Config) -> None:
    outside = {key for key in differences(addps, ours) if not key.startswith('model.')}
    assert outside <= {'optim_wrapper.paramwise_cfg.layer_decay_rate'}


@pytest.mark.parametrize('name', PYRAMIDS[:3])
def test_learning_rates_fall_towards_the_image(name, load_config):
    cfg = load_config(name)
    cfg.optim_wrapper.update(type='OptimWrapper')
    cfg.optim_wrapper.pop('dtype')
    model = on_meta(cfg)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {id(p): group['lr'] for group in groups for p in group['params']}
    named = {n: rates[id(p)] for n, p in model.named_parameters()}
    decay, lr = cfg.optim_wrapper.paramwise_cfg.layer_decay_rate, cfg.optim_wrapper.optimizer.lr
    assert {rate for n, rate in named.items() if not n.startswith('backbone.')} == {lr}
    inside = {n: rate for n, rate in named.items() if n.startswith('backbone.')}
    assert max(inside.values()) == pytest.approx(lr * decay)
    model = model.backbone
    stacks = [model.blocks] if 'dit' in name else [model.down, model.middle, model.up]
    depth = sum(map(len, stacks)) + 1
    assert min(inside.values()) == pytest.approx(lr * decay**depth)
