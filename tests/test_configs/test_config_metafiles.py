"""Metafiles, READMEs and configs name each other, and carry the papers' figures."""

import re
from pathlib import Path

import pytest
import yaml
from darl_figures import FIGURES, TABLE_15, VARIANTS
from ddae_figures import FIGURES as DDAE_FIGURES
from ddae_figures import IMAGENET_TRANSFER, REPOSITORY, TINY_IMAGENET
from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
FOLDERS = sorted({str(path.parent.relative_to(CONFIGS)) for path in CONFIGS.glob('[!_]*/*/*.py')})

# Typed from the papers: ADDP's tables 2 to 8; the two Cascade rows from ViTDet's model zoo; DARL's
# and DDAE's.
PAPER = {
    **FIGURES,
    **DDAE_FIGURES,
    'mask-rcnn_addp-vit-b_sfp_16xb4-lsj-100e_coco': [51.7, 45.8],
    'mask-rcnn_addp-vit-l_sfp_16xb4-lsj-100e_coco': [54.6, 48.2],
    'mask-rcnn_mae-vit-b_sfp_16xb4-lsj-100e_coco': [51.6, 45.9],
    'mask-rcnn_mae-vit-l_sfp_16xb4-lsj-100e_coco': [55.6, 49.2],
    'cascade-mask-rcnn_mae-vit-b_sfp_16xb4-lsj-100e_coco': [54.0, 46.7],
    'cascade-mask-rcnn_mae-vit-l_sfp_16xb4-lsj-100e_coco': [57.6, 50.0],
    'upernet_addp-vit-b_8xb2-amp-160k_ade20k-512x512': [48.1],
    'upernet_addp-vit-l_8xb2-amp-160k_ade20k-512x512': [54.3],
    'upernet_mae-vit-b_8xb2-amp-160k_ade20k-512x512': [48.1],
    'upernet_mae-vit-l_8xb2-amp-160k_ade20k-512x512': [53.6],
    'addp_vit-b_8xb128-amp-coslr-100e_in1k-256px': [83.9],
    'addp_vit-l_8xb128-amp-coslr-50e_in1k-256px': [85.9],
    'addp_vit-b_linear_16xb1024-lars-90e_in1k-224px': [11.5],
    'addp_resnet50_8xb256-amp-coslr-100e_in1k-256px': [79.7],
    'addp_resnet50_8xb256-amp-coslr-300e_in1k-256px': [80.9],
    'addp_vit-b_64xb64-amp-coslr-1600e_in1k-256px': [8.9, 95.32],
    'addp_vit-l_64xb64-amp-coslr-800e_in1k-256px': [7.6, 105.1],
    'addp_resnet50_32xb64-amp-coslr-300e_in1k-256px': [17.1, 40.1],
    'addp_vit-b_64xb64-amp-coslr-150e_in1k-256px': [23.63, 33.09, 83.5],
    # MAGE's, as its authors' repository repeats them.
    'mage_vit-b_64xb64-amp-coslr-1600e_in1k-256px': [11.1, 81.2],
    'mage_vit-l_64xb64-amp-coslr-1600e_in1k-256px': [9.1, 105.1],
}
# Ablations by grid and variant: DARL's, and ADDP's tables 3 to 6 (FID, inception score, top-1).
ABLATIONS = {
    **{grid: {k: [v] for k, v in figures.items()} for grid, figures in VARIANTS.items()},
    'darl_table-15': TABLE_15,
    'darl_table-6': {'mae': [57.2, 48.6], 'supervised': [54.1, 45.8]},
    # ADDP's tables 1, 2 and 7; MAE's ViT-H from its repository.
    'addp_cls': {
        'scratch-pixels': [82.6],
        'scratch-tokens': [81.6],
        'mae-vit-b': [83.6],
        'mae-vit-l': [85.9],
        'mae-vit-h': [86.9],
        'mage-vit-b': [82.5],
        'mage-vit-l': [83.9],
    },
    'addp_linear': {'addp-vit-l': [23.8], 'mage-vit-b': [74.7], 'mage-vit-l': [78.9]},
    'addp_coco': {
        'mage-vit-b': [36.3, 31.3],
        'mage-vit-l': [31.4, 27.6],
        'pixels_256px': [29.4],
        'tokens_256px': [12.3],
        'pixels_1024px': [47.5],
        'tokens_1024px': [31.0],
    },
    'addp_ade20k': {
        'mage-vit-b': [39.6],
        'mage-vit-l': [43.1],
        'pixels_256px': [43.7],
        'tokens_256px': [31.1],
    },
    # Linear accuracy: the authors' repository, and table 2 of the paper.
    'ddae_probes': {
        **{
            name.replace('ddae-', '').partition('xb')[0].rsplit('_', 1)[0]: figures[1:]
            for name, figures in REPOSITORY.items()
            if 'ddpm_unet' not in name
        },
        'edm_ddpmpp_tiny-imagenet': [50.0],
    },
    'addp_tables-3-6': {
        'condition-zt': [80.75, 13.48, 83.7],
        'mapping-sampling': [38.79, 23.44, 83.2],
        'mapping-argmax': [26.62, 30.03, 83.5],
        'tokens-everywhere': [20.4, 37.2, 81.5],
        'tokens-nowhere': [36.24, 21.71, 83.1],
        'target-delta': [39.41, 18.62, 83.2],
        'target-q-delta': [30.43, 23.4, 83.5],
        'target-delta-mask-50': [166.54, 4.73, 83.4],
    },
}
# ADDP's table 9: ImageNet-A, -R, -Sketch, 1 - mCE on ImageNet-C, and their mean.
ROBUSTNESS = [35.2, 54.4, 40.9, 57.3, 47.0]
# Images of an epoch of COCO, by ViTDet's 184,375 steps of 64 images for 100 of them.
COCO_IMAGES = 118_000
# Grids of any config, whose figures are those of other READMEs.
FREE_GRIDS = {'vitdet_schedules', 'darl_pyramids', 'ddae_tiny-imagenet'}


def read_metafile(repository, folder: str) -> dict:
    return yaml.safe_load((repository / 'configs' / folder / 'metafile.yml').read_text())


def test_model_index_imports_every_metafile(repository):
    index = yaml.safe_load((repository / 'model-index.yml').read_text())
    found = sorted(
        str(path.relative_to(repository)) for path in (repository / 'configs').rglob('metafile.yml')
    )
    assert index['Import'] == found
    assert found == [f'configs/{folder}/metafile.yml' for folder in FOLDERS]


@pytest.mark.parametrize('folder', FOLDERS)
def test_metafile_lists_the_configs_of_its_folder(repository, folder):
    metafile = read_metafile(repository, folder)
    (collection,) = metafile['Collections']
    assert (repository / collection['README']).is_file()
    assert collection['Paper']['URL'].startswith('https://arxiv.org/abs/')
    for model in metafile['Models']:
        assert model['In Collection'] == collection['Name']
        assert model['Config'] == f'configs/{folder}/{model["Name"]}.py'
    configs = sorted(path.stem for path in (repository / 'configs' / folder).glob('*.py'))
    assert sorted(model['Name'] for model in metafile['Models']) == configs


def test_metafiles_carry_the_papers_figures(repository):
    figures = {}
    for folder in FOLDERS:
        for model in read_metafile(repository, folder)['Models']:
            if 'Results' in model:
                source = model['Metadata']['Results Source']
                assert 'paper' in source or 'ViTDet' in source
                values = [value for r in model['Results'] for value in r['Metrics'].values()]
                figures[model['Name']] = values
    assert figures == PAPER


@pytest.mark.parametrize('folder', FOLDERS)
def test_readme_links_every_config_with_its_figures(repository, folder):
    readme = (repository / 'configs' / folder / 'README.md').read_text()
    paths = sorted((repository / 'configs' / folder).glob('*.py'))
    for path in paths:
        link = f'[{path.stem}]({path.name})'
        assert link in readme
        row = next(line for line in readme.splitlines() if link in line)
        for figure in PAPER.get(path.stem, []):
            assert f'| {figure} |' in row
    assert ('(paper)' in readme) == any(path.stem in PAPER for path in paths)


@pytest.mark.parametrize('folder', [*FOLDERS, 'grids'])
def test_commands_of_the_readme_name_existing_configs(repository, folder):
    readme = (repository / 'configs' / folder / 'README.md').read_text()
    commands = [word for word in readme.split() if word.startswith('configs/')]
    assert commands
    for command in commands:
        assert (repository / command).is_file()


@pytest.mark.parametrize('folder', FOLDERS)
def test_metafile_has_its_configs_length_and_batch(repository, folder, load_config):
    for model in read_metafile(repository, folder)['Models']:
        cfg, said = load_config(f'{folder}/{model["Name"]}'), model['Metadata']
        batch = images_per_step(cfg, model['Name'])
        assert said['Batch Size'] == cfg.auto_scale_lr.base_batch_size == batch
        if 'Iterations' in said:
            assert said['Iterations'] == cfg.train_cfg.max_iters
        elif 'max_epochs' in cfg.train_cfg:
            assert said['Epochs'] == cfg.train_cfg.max_epochs
        else:
            batches_per_step = cfg.optim_wrapper.get('accumulative_counts', 1)
            images = cfg.train_cfg.max_iters / batches_per_step * batch
            assert said['Epochs'] == pytest.approx(images / COCO_IMAGES, rel=1e-3)


def images_per_step(cfg: Config, name: str) -> int:
    gpus = int(re.search(r'_(\d+)xb', name).group(1))
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    return gpus * cfg.train_dataloader.batch_size * accumulated


def test_readme_carries_table_9(repository):
    readme = (repository / 'configs/cls/addp/README.md').read_text()
    row = '| addp_vit-b_8xb128-amp-coslr-100e_in1k-256px | ' + ' | '.join(map(str, ROBUSTNESS))
    assert row + ' |' in readme
    assert sum(ROBUSTNESS[:4]) / 4 == pytest.approx(ROBUSTNESS[4], abs=0.051)


def test_readme_of_ablations_has_every_variant_with_its_figures(repository):
    grids = repository / 'configs/grids'
    sections = re.split(r'(?m)^## ', (grids / 'README.md').read_text())[1:]
    rows = {}
    for section in sections:
        (grid,) = re.findall(r'^\[(\S+)\]\(\1\.py\)', section)
        rows[grid] = dict(re.findall(r'(?m)^\| `(\S+)` \|(.*)\|$', section))
    assert set(rows) >= {path.stem for path in grids.glob('*.py')} - FREE_GRIDS
    for path in grids.glob('*.py'):
        variants = Config.fromfile(path).get('variants', {})
        if path.stem not in FREE_GRIDS:
            assert set(rows[path.stem]) == set(variants)
        for variant, figures in ABLATIONS.get(path.stem, {}).items():
            cells = [cell.strip() for cell in rows[path.stem][variant].split('|')]
            found = [float(cell) for cell in cells if re.fullmatch(r'\d+\.\d+', cell)]
            assert found == figures
            assert re.fullmatch(r'(table|section) [\d.]+|repository', cells[-1])


def test_readme_of_ddae_has_the_transfer_from_imagenet(repository):
    readme = (repository / 'configs/cls/ddae/README.md').read_text()
    (row,) = [line for line in readme.splitlines() if f'| {IMAGENET_TRANSFER} |' in line]
    assert 'ENCODER' in row
    assert 'table 3' in row


def test_readme_of_ddae_has_tiny_imagenet(repository):
    readme = (repository / 'configs/pretrain/ddae/README.md').read_text()
    assert TINY_IMAGENET in readme.splitlines()
