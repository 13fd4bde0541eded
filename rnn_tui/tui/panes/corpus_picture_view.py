"""The pictures side by side, as many as there is room for; a key turns the page."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import Static

from rnn_tui.tui.panes.corpus_pictures import Bars, Curve, Picture
from rnn_tui.tui.panes.corpus_views import heading
from rnn_tui.tui.widgets.bars import bars
from rnn_tui.tui.widgets.chart import Chart

_MOST = 4
_TWO_COLUMNS, _TWO_ROWS = 96, 32
"""Cells from which two pictures fit beside or above each other."""


class Frame(Vertical):
    """Room for one picture."""

    DEFAULT_CSS = """
    Frame { height: 1fr; }
    Frame VerticalScroll { height: 1fr; }
    """

    def __init__(self, *, ascii: bool) -> None:
        super().__init__()
        self._ascii = ascii
        self._bars: Bars | None = None

    def compose(self) -> ComposeResult:
        yield Chart(ascii=self._ascii or None)
        with VerticalScroll():
            yield Static(markup=False)

    def show(self, picture: Picture) -> None:
        """Draw one picture."""
        chart = self.query_one(Chart)
        chart.display = isinstance(picture, Curve)
        self.query_one(VerticalScroll).display = not chart.display
        if isinstance(picture, Curve):
            self._bars = None
            chart.configure(log_x=picture.log_x, log_y=picture.log_y, x_name=picture.x_name)
            chart.action_whole()
            chart.show(
                picture.series,
                baselines=picture.baselines,
                title=picture.title,
                marks=picture.marks,
                note=picture.note,
            )
        else:
            self._bars = picture
            self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._bars is None:
            return
        one, width = self._bars, max(20, self.size.width - 2)
        drawn = bars(one.rows, width, ascii=self._ascii, colour=one.colour)
        self.query_one(Static).update(heading(one.title, one.aside) + "\n" + drawn)


class PictureView(Container):
    """A grid of pictures."""

    DEFAULT_CSS = """
    PictureView { layout: grid; grid-size: 1; grid-gutter: 0 2; height: 1fr; }
    """

    def __init__(self, *, ascii: bool) -> None:
        super().__init__()
        self._ascii = ascii
        self._pictures: Sequence[Picture] = ()
        self._page = 0

    def compose(self) -> ComposeResult:
        for _ in range(_MOST):
            yield Frame(ascii=self._ascii)

    def show(self, pictures: Sequence[Picture]) -> None:
        """Show pictures from the first one on."""
        self._pictures, self._page = pictures, 0
        self._arrange()

    @property
    def pages(self) -> int:
        """How many screens the pictures take."""
        return -(-len(self._pictures) // self._room())

    def turn(self) -> str:
        """Show the next pictures, after the last the first; return what to say of it."""
        self._page += 1
        self._arrange()
        return f"pictures {self._page + 1} of {self.pages}, p goes on" if self.pages > 1 else ""

    def on_resize(self) -> None:
        self._arrange()

    def _room(self) -> int:
        return (1 + (self.size.width >= _TWO_COLUMNS)) * (1 + (self.size.height >= _TWO_ROWS))

    def _arrange(self) -> None:
        if not self._pictures or not self.size:
            return
        room = self._room()
        self._page %= self.pages
        shown = self._pictures[self._page * room :][:room]
        columns = min(len(shown), 1 + (self.size.width >= _TWO_COLUMNS))
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = -(-len(shown) // columns)
        for index, frame in enumerate(self.query(Frame)):
            frame.display = index < len(shown)
            if index < len(shown):
                frame.show(shown[index])
