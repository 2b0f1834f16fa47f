"""The comparison's command with real trainings of a second."""

import json

import pytest
from scripts import load_script
from tiny_comparison import write_comparison

from mmaddp.utils import UserError


@pytest.fixture
def tool(repository):
    return load_script(repository / 'tools/compare.py')


def test_probe_and_fine_tuning(tool, tmp_path, capsys):
    """The probe's best cell reaches the classifier; a second call has nothing to do."""
    arguments = [
        str(write_comparison(tmp_path)),
        '--work-dir',
        str(tmp_path / 'out'),
        '--seeds',
        '0',
    ]
    tool.main(arguments)
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / 'out/comparison.html')
    tasks = json.loads((tmp_path / 'out/comparison.json').read_text())['tasks']
    (probe,), tuned = tasks['probe'], tasks['cls']
    assert [row['method'] for row in tuned] == ['ddae', 'scratch']
    cell = json.loads((tmp_path / 'out/probe/ddae/seed-0/best_cell.json').read_text())
    assert probe['seeds']['0']['top-1'] == pytest.approx(cell['metrics']['accuracy'])
    (dumped,) = (tmp_path / 'out/cls/ddae/seed-0').glob('*/vis_data/config.py')
    assert f"out_blocks=['{cell['layer']}']" in dumped.read_text().replace(' ', '').replace(
        '\n', ''
    ).replace(',]', ']')
    assert not list((tmp_path / 'out').glob('**/*.pth'))
    assert (tmp_path / 'out/comparison.png').read_bytes().startswith(b'\x89PNG')
    # Each number has its protocol, and an interval over the images.
    for row in (probe, *tuned):
        assert len(row['protocol']) == 8
        assert row['summary']['top-1']['images'] == 15
        assert row['summary']['top-1']['low'] <= row['summary']['top-1']['mean']
    assert tuned[0]['facts']['encoder_gflops'] > 0
    assert tuned[0]['facts']['images_per_second'] > 0
    page = (tmp_path / 'out/comparison.html').read_text()
    assert page.count('data:image/jpeg') == 4 * (4 + 3 + 3)
    before = (tmp_path / 'out/comparison.json').read_text()
    tool.main(arguments)
    assert (tmp_path / 'out/comparison.json').read_text() == before
    # Two GPUs would take batches of twice as many images.
    with pytest.raises(UserError, match='results of GPUs per training 1, not 2'):
        tool.main([*arguments, '--gpus', '2'])
