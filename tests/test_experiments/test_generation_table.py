from dataclasses import asdict

from mmaddp.diffusion import ADDPSampler
from mmaddp.experiments.generation_table import lines_over, markdown_table


def result(fid=10.0, images=50000, **settings):
    return {
        'settings': asdict(ADDPSampler(**settings)),
        'fid': fid,
        'inception_score': 100.125,
        'precision': None,
        'recall': 0.5,
        'num_images': images,
        'num_reference': None,
    }


def test_table_has_a_dash_for_what_is_not_known():
    table = markdown_table([result(steps=5, temperature=2.0, decaying=False)])
    assert table.splitlines()[-1] == (
        '| 5 | linear | 2 | 1 | 10.00 | 100.12 | - | 0.500 | 50000 | - |'
    )


def test_few_images_are_noted():
    assert 'note: FIDs of fewer than 2,049' in markdown_table([result(), result(images=2048)])


def test_static_and_decaying_temperatures_are_a_line_each():
    results = [
        result(temperature=float(temperature), decaying=decaying)
        for temperature in (2, 6, 20)
        for decaying in (True, False)
    ]
    lines = lines_over('temperature', results)
    assert [len(line) for line in lines.values()] == [3, 3]
    assert len(lines_over('steps', results)) == 6
