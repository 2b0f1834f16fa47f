"""The heat map of all experiments, and how figures are written."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mmaddp.experiments.figures import new_figure, plot_heat_map, plot_lines, save_figure

VALUES = np.array([[81.25, 82.0, np.nan], [83.0, 84.0, 85.0]])


def test_cells_lie_where_their_values_say():
    figure = plot_heat_map(
        VALUES,
        [0.1, 1, 10],
        [0.3, 3],
        title='top-1',
        xlabel='a',
        ylabel='b',
        best=(1, 2),
        levels=np.array([81.25, 83.0, 84.0, 85.0]),
    )
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel(), axis.get_title()) == ('a', 'b', 'top-1')
    assert [label.get_text() for label in axis.get_xticklabels()] == ['0.1', '1', '10']
    assert [label.get_text() for label in axis.get_yticklabels()] == ['0.3', '3']
    written = {tuple(map(int, text.get_position())): text.get_text() for text in axis.texts}
    assert written[(0, 0)] == '81.2'
    assert written[(2, 1)] == '85.0'
    assert len(written) == 5
    (frame,) = axis.patches
    assert frame.get_xy() == (1.5, 0.5)
    image = axis.images[0]
    colors = image.cmap(image.norm(VALUES))[..., :3]
    assert to_rgb('#440154') == pytest.approx(tuple(colors[0, 0]), abs=0.01)
    assert to_rgb('#fde725') == pytest.approx(tuple(colors[1, 2]), abs=0.01)


def test_numbers_can_be_read_on_their_cells():
    axis = plot_heat_map(VALUES, 'abc', 'xy', title='').axes[0]
    colors = {text.get_text(): text.get_color() for text in axis.texts}
    assert (colors['81.2'], colors['85.0']) == ('white', 'black')


def test_figures_are_written_by_the_ending_of_their_names(tmp_path):
    figure, (axis,) = new_figure()
    plot_lines(axis, {'a': [(0, 1), (1, 2)]})
    save_figure(figure, tmp_path / 'a.svg')
    assert '<svg' in (tmp_path / 'a.svg').read_text()
    with pytest.raises(ValueError, match="Format 'abc' is not supported"):
        save_figure(figure, tmp_path / 'a.abc')
    assert [path.name for path in tmp_path.iterdir()] == ['a.svg']
