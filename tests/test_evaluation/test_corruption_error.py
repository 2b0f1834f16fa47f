import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmaddp.datasets.imagenet_variants import CORRUPTIONS, SEVERITIES
from mmaddp.evaluation import ALEXNET_ERRORS, corruption_errors

# Hendrycks and Dietterich 2019: AlexNet's top-1 errors in percent.
PAPER_ERRORS = {
    'gaussian_noise': 88.6,
    'shot_noise': 89.4,
    'impulse_noise': 92.3,
    'defocus_blur': 82.0,
    'glass_blur': 82.6,
    'motion_blur': 78.6,
    'zoom_blur': 79.8,
    'snow': 86.7,
    'frost': 82.7,
    'fog': 81.9,
    'brightness': 56.5,
    'contrast': 85.3,
    'elastic_transform': 64.6,
    'pixelate': 71.8,
    'jpeg_compression': 60.7,
}


def flat(errors):
    return {c: dict.fromkeys(SEVERITIES, error) for c, error in errors.items()}


def test_reference_errors_round_to_the_published_ones():
    # 60.65 is printed as 60.7: the paper rounds half up.
    rounded = {c: int(error * 10 + 0.5 + 1e-9) / 10 for c, error in ALEXNET_ERRORS.items()}
    assert rounded == PAPER_ERRORS


def test_alexnet_scores_100():
    # Its mean error must be that of all severities together, however it spreads over them.
    spread = {
        c: {s: error + 3 * (s - 3) for s in SEVERITIES} for c, error in ALEXNET_ERRORS.items()
    }
    figures = corruption_errors(spread)
    assert figures.mce == pytest.approx(100, abs=1e-9)
    assert figures.ce == pytest.approx(dict.fromkeys(CORRUPTIONS, 100), abs=1e-9)
    assert not figures.missing


def test_mce_is_the_mean_of_ratios_not_the_ratio_of_means():
    # Right everywhere but in fog, where every image is wrong: 100 / 81.9324 over 15 corruptions.
    errors = flat({**dict.fromkeys(CORRUPTIONS, 0.0), 'fog': 100.0})
    figures = corruption_errors(errors)
    assert figures.mce == pytest.approx(100 * 100 / 81.9324 / 15)
    assert figures.mean_error == pytest.approx(100 / 15)


@given(st.dictionaries(st.sampled_from(CORRUPTIONS), st.sets(st.sampled_from(SEVERITIES))))
def test_missing_severities_give_no_mce_and_are_named(removed):
    errors = flat(ALEXNET_ERRORS)
    for corruption, severities in removed.items():
        for severity in severities:
            del errors[corruption][severity]
    figures = corruption_errors(errors)
    removed = {c: tuple(sorted(severities)) for c, severities in removed.items() if severities}
    assert figures.missing == removed
    assert (figures.mce is None) == bool(removed)
    assert set(figures.ce) == set(CORRUPTIONS) - set(removed)


def test_validation_corruptions_are_left_out():
    errors = flat({**ALEXNET_ERRORS, 'speckle_noise': 0.0})
    assert corruption_errors(errors).mce == pytest.approx(100)
