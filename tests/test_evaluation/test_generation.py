import numpy as np
import pytest
import torch
from generation_images import (
    ColorNetworks,
    corner_std,
    cube,
    draw_colors,
    use_color_networks,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from mmaddp.evaluation.generation import (
    GenerationMetrics,
    frechet_distance,
    inception_score,
    precision_recall,
)
from mmaddp.evaluation.generation_reference import Gaussian, fit_gaussian
from mmaddp.utils import UserError

torch_fidelity = pytest.importorskip('torch_fidelity')


@pytest.fixture
def colors(monkeypatch):
    use_color_networks(monkeypatch)


def gaussian(mean, covariance):
    return Gaussian(np.array(mean, float), np.array(covariance, float))


def test_frechet_distance_of_gaussians_with_diagonal_covariance():
    first = gaussian([0, 1], np.diag([4.0, 9.0]))
    second = gaussian([3, 1], np.diag([1.0, 1.0]))
    # |mean_1 - mean_2|^2 + sum of (deviation_1 - deviation_2)^2
    assert frechet_distance(first, second) == pytest.approx(9 + 1 + 4)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6))
def test_frechet_distance_is_scipys(seed, dims):
    rng = np.random.default_rng(seed)
    first, second = (
        fit_gaussian(
            torch.tensor(rng.normal(size=(4 * dims, dims)) @ rng.normal(size=(dims, dims)))
        )
        for _ in range(2)
    )
    root = sqrtm(first.covariance @ second.covariance).real
    expected = np.sum((first.mean - second.mean) ** 2) + np.trace(
        first.covariance + second.covariance - 2 * root
    )
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_inception_score_counts_classes_that_are_told_apart():
    certain = torch.eye(4).repeat(250, 1) * 1000
    score, std = inception_score(certain)
    # Splits of 100 have the four classes nearly equally often.
    assert score == pytest.approx(4, rel=0.03)
    assert std > 0
    assert inception_score(torch.ones(50, 7)) == (pytest.approx(1), pytest.approx(0))


def test_one_of_two_modes_is_precise_and_recalls_half():
    rng = torch.Generator().manual_seed(0)
    real = torch.randn(40, 5, generator=rng)
    real[20:] += 100
    assert precision_recall(real[:20], real) == (1.0, 0.5)
    assert precision_recall(real, real[:20]) == (0.5, 1.0)
    assert precision_recall(real + 1000, real) == (0.0, 0.0)


def test_figures_of_folders_follow_from_their_colors(colors, tmp_path):
    real = draw_colors(tmp_path / 'real/class', cube((100, 100, 100), (20, 30, 40)))
    images = draw_colors(tmp_path / 'images', cube((110, 100, 95), (10, 30, 50)))
    draw_colors(images / 'steps', [(0, 0, 0)] * 3)
    metrics = GenerationMetrics(real.parent, cache_dir=tmp_path / 'cache')
    result = metrics(images)
    shifts = [corner_std(d) for d in (10, 0, 10)]
    assert result['fid'] == pytest.approx(100 + 25 + sum(s**2 for s in shifts))
    assert (result['num_images'], result['num_reference']) == (16, 16)
    assert metrics(draw_colors(tmp_path / 'black', [(0, 0, 0)] * 12))['inception_score'] == (
        pytest.approx(1)
    )
    same = metrics(real)
    assert same['fid'] == pytest.approx(0, abs=1e-6)
    assert (same['precision'], same['recall']) == (1, 1)


def test_the_first_images_by_name_are_measured(colors, tmp_path):
    real = draw_colors(tmp_path / 'real', cube((100, 100, 100), (20, 30, 40)))
    both = cube((100, 100, 100), (20, 30, 40)) + [(0, 0, 0)] * 9
    metrics = GenerationMetrics(real, cache_dir=tmp_path / 'cache')
    images = draw_colors(tmp_path / 'images', both)
    assert metrics(images, 16)['fid'] == pytest.approx(0, abs=1e-6)
    assert metrics(images)['fid'] > 100


def test_reference_is_computed_once_until_it_changes(colors, tmp_path, monkeypatch):
    real = draw_colors(tmp_path / 'real', cube((100, 100, 100), (20, 30, 40)))
    images = draw_colors(tmp_path / 'images', cube((110, 100, 95), (10, 30, 50)))
    options = {'cache_dir': tmp_path / 'cache'}
    first = GenerationMetrics(real, **options)
    again = GenerationMetrics(real, **options)
    assert (first.networks.calls, again.networks.calls) == (1, 0)
    assert first(images) == again(images)
    kept = GenerationMetrics(first.reference.file, cache_dir=tmp_path / 'other')
    assert kept(images) == first(images)
    assert not (tmp_path / 'other').exists()
    assert GenerationMetrics(real, weights='others', **options).networks.calls == 1
    draw_colors(real / 'more', [(1, 2, 3)])
    assert GenerationMetrics(real, **options).reference.num_images == 17


def test_published_statistics_give_fid_alone(colors, tmp_path):
    deviations = np.array([corner_std(d) for d in (20, 30, 40)])
    np.savez(tmp_path / 's.npz', mu=np.full(3, 100.0), sigma=np.diag(deviations**2))
    images = draw_colors(tmp_path / 'images', cube((110, 100, 100), (20, 30, 40)))
    result = GenerationMetrics(tmp_path / 's.npz', cache_dir=tmp_path)(images)
    assert result['fid'] == pytest.approx(100)
    assert result['precision'] is result['recall'] is result['num_reference'] is None


def test_figures_are_those_of_torch_fidelity(colors, tmp_path):
    class Colors(torch_fidelity.FeatureExtractorBase):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return 'colors', 'logits'

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return 'logits' if metric == 'isc' else 'colors'

        def forward(self, images):
            features = ColorNetworks()(images)
            both = {'colors': features.pool, 'logits': features.logits}
            return tuple(both[name] for name in self.features_list)

    torch_fidelity.register_feature_extractor('colors-of-this-test', Colors)
    rng = np.random.default_rng(0)
    real = draw_colors(tmp_path / 'real', rng.integers(0, 200, (40, 3)))
    images = draw_colors(tmp_path / 'images', rng.integers(50, 256, (37, 3)))
    theirs = torch_fidelity.calculate_metrics(
        input1=str(images),
        input2=str(real),
        isc=True,
        fid=True,
        prc=True,
        feature_extractor='colors-of-this-test',
        cuda=False,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    ours = GenerationMetrics(real, cache_dir=tmp_path, num_workers=0)(images)
    assert ours['fid'] == pytest.approx(theirs['frechet_inception_distance'], rel=1e-4)
    assert ours['inception_score'] == pytest.approx(theirs['inception_score_mean'], rel=1e-6)
    assert ours['inception_score_std'] == pytest.approx(theirs['inception_score_std'], rel=1e-6)
    assert (ours['precision'], ours['recall']) == (theirs['precision'], theirs['recall'])
    assert ours['precision'] != ours['recall']


@pytest.mark.parametrize(
    ('color_lists', 'message'),
    [
        (
            {'real': 16, 'images': 9},
            r'images: 9 images, 10 or more are needed; the inception score has 10 splits',
        ),
        ({'real': 3, 'images': 16}, r'real: 3 images; a reference needs 4 or more'),
        ({'real': 16, 'images': 0}, r'images: not a folder with images \(\.avif'),
        ({'real': 0, 'images': 16}, r'real: not a folder with images'),
    ],
)
def test_too_few_images(colors, tmp_path, color_lists, message):
    folders = {
        name: draw_colors(tmp_path / name, [(i, i, i) for i in range(count)])
        for name, count in color_lists.items()
    }
    with pytest.raises(UserError, match=message):
        GenerationMetrics(folders['real'], cache_dir=tmp_path)(folders['images'])


def test_sizes_that_differ(colors, tmp_path):
    gray = [(i, i, i) for i in range(12)]
    real = draw_colors(tmp_path / 'real', gray)
    metrics = GenerationMetrics(real, cache_dir=tmp_path / 'cache')
    small = draw_colors(tmp_path / 'small', gray, size=(4, 4))
    with pytest.raises(UserError, match=r'4 x 4 .* have 8 x 8: give --reference-size 4'):
        metrics(small)
    cut = GenerationMetrics(real, cache_dir=tmp_path / 'cache', reference_size=4)
    assert cut(small)['fid'] == pytest.approx(0, abs=1e-6)
    draw_colors(real, gray[:4], size=(8, 9))
    with pytest.raises(UserError, match=r'--reference-size cuts those of the reference'):
        GenerationMetrics(real, cache_dir=tmp_path / 'cache')


def test_statistics_that_do_not_fit(colors, tmp_path):
    real = draw_colors(tmp_path / 'real', cube((100, 100, 100), (20, 30, 40)))
    first = GenerationMetrics(real, weights='first', cache_dir=tmp_path)
    with pytest.raises(UserError, match=r'statistics of colors-first, .* are colors-second'):
        GenerationMetrics(first.reference.file, weights='second', cache_dir=tmp_path)
    (tmp_path / 'no.npz').write_bytes(b'PK')
    with pytest.raises(UserError, match=r'no\.npz: no statistics of images'):
        GenerationMetrics(tmp_path / 'no.npz', cache_dir=tmp_path)
    np.savez(tmp_path / 'small.npz', mu=np.zeros(2), sigma=np.eye(2))
    with pytest.raises(UserError, match=r'statistics of 2 features, .* have 3'):
        GenerationMetrics(tmp_path / 'small.npz', cache_dir=tmp_path)(real)
