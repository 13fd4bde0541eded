"""The runs that are laid over the one in view: each is followed by a thread of its own, so that it grows too."""

from collections.abc import Callable, Iterable
from pathlib import Path

from rnn_tui.tui.curves import MOST_LAID_OVER, LaidOver
from rnn_tui.tui.follower import Follower, News
from rnn_tui.tui.history import History

_FIRST_COLOUR = 2


class Others:
    """Which runs are laid over, and what is known of them."""

    def __init__(self, post: Callable[[News], object]) -> None:
        self._post = post
        self._followers: dict[Path, Follower] = {}
        self._histories: dict[Path, History] = {}
        self._colours: dict[Path, int] = {}

    @property
    def paths(self) -> list[Path]:
        """The folders of these runs."""
        return list(self._followers)

    def set(self, paths: Iterable[Path]) -> None:
        """Lay these runs over and no others; those that are already there go on."""
        wanted = list(paths)[:MOST_LAID_OVER]
        for path in [path for path in self._followers if path not in wanted]:
            self._followers.pop(path).stop()
            self._histories.pop(path, None)
        for path in wanted:
            if path not in self._followers:
                self._choose_colour(path)
                self._followers[path] = Follower(path, self._post, machine=False)
                self._followers[path].start()

    def _choose_colour(self, path: Path) -> None:
        """Give a run the colour that it had before, unless that is in use, or else the first that is free."""
        taken = {self._colours[one] for one in self._followers}
        if self._colours.get(path, _FIRST_COLOUR - 1) in {_FIRST_COLOUR - 1, *taken}:
            places = range(_FIRST_COLOUR, _FIRST_COLOUR + MOST_LAID_OVER)
            self._colours[path] = next(colour for colour in places if colour not in taken)

    def take(self, news: News) -> bool:
        """Take in news; whether they were of one of these runs."""
        if news.path not in self._followers:
            return False
        if news.history is not None:
            self._histories[news.path] = news.history
        if news.path in self._histories:
            self._histories[news.path].add(news.events)
        return True

    def shown(self, but: Path | None) -> list[LaidOver]:
        """Return those that have something to show, except the run in view itself."""
        return [
            LaidOver(path.name, self._histories[path], self._colours[path])
            for path in self._followers
            if path in self._histories and path != but
        ]
