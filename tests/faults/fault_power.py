"""A disk that loses its power.

`power_cuts` looks at all that a power cut may leave after each operation. What was fsynced is there. Of what was not,
each change of a directory (a name made, moved or removed; a move within a directory is one change, one between two is
two) is there or not, in every combination; where there are more than `combined` at once, in the order of a journal, or
with one left out. Of the bytes written to a file none are there, or half, or all, or zeros of their number. What a
failed fsync covered is never brought to the disk by a later one.
"""

import contextlib
import itertools
import os
import shutil
from dataclasses import dataclass, field

from fault_disk import ROOT, Watch

from rnn_tui.errors import RnnTuiError


@dataclass
class Disk:
    """What is on the disk for certain, and what may be."""

    entries: dict  # (node of a folder, name) → node
    contents: dict  # node of a file → bytes
    files: set
    combined: int
    changed: list = field(default_factory=list)  # changes of folders that are not on the disk yet
    written: dict = field(default_factory=dict)  # node → what was done to its bytes since
    complete: bool = True  # whether every combination was looked at

    def take(self, operation):
        kind, *what = operation
        if kind == "entries":
            self.changed.append(what[0])
        elif kind in ("write", "cut"):
            self.written.setdefault(what[0], []).append(what[1:])
        elif kind == "void":
            self.written[what[0]] = [None for _ in self.written.get(what[0], [])]
        elif kind == "fsync":
            node = what[0]
            if node in self.written:
                done = [change for change in self.written.pop(node) if change is not None]
                self.contents[node] = changed_bytes(self.contents.get(node, b""), done)
            synced = [change for change in self.changed if any(folder == node for folder, _, _ in change)]
            for change in synced:
                self.changed.remove(change)
                apply(self.entries, change)

    def states(self):
        """All that may be there: path → bytes, None for a folder."""
        reachable, size = {ROOT}, 0
        known = [(folder, node) for (folder, _), node in self.entries.items()]
        known += [(folder, node) for change in self.changed for folder, _, node in change]
        while size < len(reachable):
            size = len(reachable)
            reachable |= {node for folder, node in known if folder in reachable and node is not None}
        pending = [change for change in self.changed if any(folder in reachable for folder, _, _ in change)]
        for chosen in self._chosen(pending):
            entries = dict(self.entries)
            for change in chosen:
                apply(entries, change)
            yield from self._trees(entries)

    def _chosen(self, pending):
        if len(pending) <= self.combined:
            return (
                [change for change, there in zip(pending, bits, strict=True) if there]
                for bits in itertools.product((True, False), repeat=len(pending))
            )
        self.complete = False
        orders = [pending[:count] for count in range(len(pending) + 1)]
        return orders + [pending[:left] + pending[left + 1 :] for left in range(len(pending))]

    def _trees(self, entries):
        below = {}
        for (folder, name), node in entries.items():
            below.setdefault(folder, []).append((name, node))
        tree, files = {}, []

        def walk(node, path):
            for name, child in below.get(node, ()):
                where = f"{path}{name}"
                if child in self.files:
                    files.append((where, child))
                else:
                    tree[where] = None
                    walk(child, where + "/")

        walk(ROOT, "")
        nodes = sorted({node for _, node in files})
        for versions in itertools.product(*(self._versions(node) for node in nodes)):
            content = dict(zip(nodes, versions, strict=True))
            yield tree | {path: content[node] for path, node in files}

    def _versions(self, node):
        certain = self.contents.get(node, b"")
        done = [change for change in self.written.get(node, ()) if change is not None]
        if not done:
            return [certain]
        whole = changed_bytes(certain, done)
        half = changed_bytes(certain, done[: len(done) // 2])
        if len(done[len(done) // 2]) == 2:  # a write, not a cut
            offset, data = done[len(done) // 2]
            half = changed_bytes(half, [(offset, data[: len(data) // 2])])
        zeros = certain + bytes(max(0, len(whole) - len(certain)))
        return list(dict.fromkeys((certain, half, zeros, whole)))


def apply(entries, change):
    for folder, name, node in change:
        if node is None:
            entries.pop((folder, name), None)
        else:
            entries[folder, name] = node


def changed_bytes(content, changes):
    content = bytearray(content)
    for change in changes:
        if len(change) == 1:
            del content[change[0] :]
            content.extend(bytes(change[0] - len(content)))
        else:
            offset, data = change
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
    return bytes(content)


@dataclass
class Outcome:
    """What came of all power cuts in one operation."""

    states: int
    torn: list
    lost: list
    complete: bool

    def __str__(self):
        how = "" if self.complete else ", the longest in the order of a journal"
        return f"{self.states} states{how}, {len(self.torn)} torn, {len(self.lost)} lost"


def power_cuts(folder, scenario, recover, *, combined=11, all_of_them=True):
    """Run `scenario(root, watch)` on a folder and `recover(root)` on everything that a power cut in it may leave.

    `recover` uses the real code and returns two sets: what is torn and yet passes for whole, and what is there of that
    which `Watch.mark` can be called with. What was marked by then and is not there is lost. Without `all_of_them` it
    ends with the first that is found.
    """
    root = folder / "real"
    with Watch(root, record=True) as watch:
        scenario(root, watch)
    disk = Disk(watch.entries, watch.contents, watch.files, combined)
    found, promised, torn, lost = {}, set(), [], []
    for operation in (None, *watch.log):
        if operation is not None and operation[0] == "mark":
            promised.add(operation[1])
        elif operation is not None:
            disk.take(operation)
        for tree in disk.states():
            key = frozenset(tree.items())
            if key not in found:
                place = folder / f"state-{len(found)}"
                lay_out(tree, place)
                with without_fsync():
                    try:
                        found[key] = recover(place)
                    except (RnnTuiError, FileNotFoundError) as error:
                        found[key] = [f"nothing can be used: {error}"], set()
                torn += [f"{what} after {operation and operation[0]}" for what in found[key][0]]
                shutil.rmtree(place)
            lost += [f"{what} after {operation and operation[0]}" for what in promised - found[key][1]]
            if not all_of_them and (torn or lost):
                return Outcome(len(found), torn, lost, disk.complete)
    return Outcome(len(found), torn, lost, disk.complete)


def lay_out(tree, place):
    place.mkdir()
    for path in sorted(tree):
        if tree[path] is None:
            (place / path).mkdir(mode=0o700)
        else:
            (place / path).write_bytes(tree[path])


@contextlib.contextmanager
def without_fsync():
    """Recovery is looked at on a disk that works."""
    real, os.fsync = os.fsync, lambda fd: None
    try:
        yield
    finally:
        os.fsync = real
