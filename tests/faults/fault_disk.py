"""A disk that is watched and whose operations fail: the real code runs on a real folder.

`Watch` stands before the functions of `os` that change files. It writes down what is done below one folder, and can
make the k-th operation fail or be the last.
"""

import builtins
import errno
import io
import itertools
import os
import signal
import stat
import traceback

ROOT = 0
_OUTPUT = "worker.log"


class Watch:
    """Watches the operations that write below `root` while it is a context.

    Attributes:
        count: how many there were.
        names: what each was, and on which path.
        struck: the name and the path of the operation that failed, if one did.
        log: what they changed, see `fault_power.Disk`.
        told: what was said of faults.
        unseen: `open` that is not watched.
    """

    def __init__(self, root, *, at=0, fault="", only=None, record=False):
        """Let the operation with the number `at` fail: `fault` is the name of an errno, or KILL. With `only`,
        a name and a path, the others are not counted.

        What is marked is also written to the file `marks` beside `root`, for whoever survives this process.
        """
        self.root = os.path.realpath(root)
        self.count, self.struck, self.names, self.log, self.told = 0, None, [], [], []
        self.entries, self.contents = {}, {}  # what was there when it began, see `Disk`
        self.files = set()  # the nodes that are no folders
        self._at, self._fault, self._full, self._next_fault = at, fault, False, None
        self._only = only and tuple(only)
        self._record, self._nodes, self._next = record, {}, itertools.count(1)
        self._real = {name.removeprefix("_os_"): None for name in dir(self) if name.startswith("_os_")}

    def __enter__(self):
        if self._record:
            self._know(self.root, ROOT)
        for name in self._real:
            self._real[name] = getattr(os, name)
            setattr(os, name, getattr(self, f"_os_{name}"))
        self.unseen = builtins.open
        builtins.open = io.open = self._opening
        return self

    def __exit__(self, *_):
        for name, real in self._real.items():
            setattr(os, name, real)
        builtins.open = io.open = self.unseen

    def mark(self, what):
        """Note that from here on `what` is acknowledged: no power cut may take it back."""
        self.log.append(("mark", what))
        with self.unseen(f"{self.root}.marks", "a") as file:
            file.write(f"{what!r}\n")

    def tell(self, message):
        """Note that a fault was told; nothing, where there is none."""
        if message:
            self.told.append(message)

    def fail_next(self, name, fault):
        """Let the next operation of this name fail."""
        self._next_fault = name, fault

    # -- the operations ---------------------------------------------------------------------------------------------

    def _os_open(self, path, flags, mode=0o777, *, dir_fd=None):
        full = self._path(path, dir_fd)
        if not full:
            return self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_DIRECTORY):
            self._operation("open", full)
        there = os.path.lexists(full)
        fd = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if self._record and flags & os.O_CREAT and not there:
            self._entries([(os.path.dirname(full), os.path.basename(full), self._made(os.fstat(fd)))])
        elif self._record and flags & os.O_TRUNC:
            self.log.append(("cut", self._of(fd), 0))
        return fd

    def _opening(self, file, mode="r", *args, **more):
        """`open` for writing, so that it makes its file by `os.open`."""
        if isinstance(file, int) or not set(mode) & set("wax+") or more.get("opener") or not self._path(file):
            return self.unseen(file, mode, *args, **more)
        return self.unseen(file, mode, *args, **more, opener=lambda path, flags: os.open(path, flags, 0o666))

    def _os_write(self, fd, data):
        path = self._behind(fd)
        if not path:
            return self._real["write"](fd, data)
        data = self._cut("write", path, data, lambda part: self._real["write"](fd, part))
        written = self._real["write"](fd, data)
        self._wrote(fd, os.lseek(fd, 0, os.SEEK_CUR) - written, bytes(data[:written]))
        return written

    def _os_pwrite(self, fd, data, offset):
        path = self._behind(fd)
        if not path:
            return self._real["pwrite"](fd, data, offset)
        data = self._cut("pwrite", path, data, lambda part: self._real["pwrite"](fd, part, offset))
        written = self._real["pwrite"](fd, data, offset)
        self._wrote(fd, offset, bytes(data[:written]))
        return written

    def _os_sendfile(self, out, source, offset, count):
        path = self._behind(out)
        if path:
            self._operation("sendfile", path)
        place = os.lseek(out, 0, os.SEEK_CUR) if path else 0
        sent = self._real["sendfile"](out, source, offset, count)
        if path:
            self._wrote(out, place, os.pread(source, sent, offset))
        return sent

    def _os_ftruncate(self, fd, size):
        path = self._behind(fd)
        if path:
            self._operation("ftruncate", path)
        changed = path and os.fstat(fd).st_size != size
        self._real["ftruncate"](fd, size)
        if self._record and changed:
            self.log.append(("cut", self._of(fd), size))

    def _os_fsync(self, fd):
        path = self._behind(fd)
        if path:
            try:
                self._operation("fsync", path)
            except OSError:
                if self._record:
                    self.log.append(("void", self._of(fd)))
                raise
        self._real["fsync"](fd)
        if self._record and path:
            self.log.append(("fsync", self._of(fd)))

    def _os_close(self, fd):
        path = self._behind(fd)
        writing = path and os.path.isfile(path) and self._is_written(fd)
        try:
            if writing:
                self._operation("close", path)
        finally:
            self._real["close"](fd)

    def _os_mkdir(self, path, mode=0o777, *, dir_fd=None):
        full = self._path(path, dir_fd)
        if full and not os.path.lexists(full):
            self._operation("mkdir", full)
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        if self._record and full:
            self._entries([(os.path.dirname(full), os.path.basename(full), self._made(os.lstat(full)))])

    def _os_rename(self, source, target, *, src_dir_fd=None, dst_dir_fd=None, name="rename"):
        one, two = self._path(source, src_dir_fd), self._path(target, dst_dir_fd)
        if two:
            self._operation(name, two)
        node = self._node(os.lstat(one)) if self._record and two else None
        self._real[name](source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        if node is not None:
            changes = [(os.path.dirname(p), os.path.basename(p), n) for p, n in ((one, None), (two, node))]
            if changes[0][0] == changes[1][0]:
                self._entries(changes)
            else:
                self._entries(changes[1:])
                self._entries(changes[:1])

    def _os_replace(self, source, target, *, src_dir_fd=None, dst_dir_fd=None):
        self._os_rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, name="replace")

    def _os_link(self, source, target, **more):
        full = self._path(target)
        if full:
            self._operation("link", full)
        self._real["link"](source, target, **more)
        if self._record and full:
            self._entries([(os.path.dirname(full), os.path.basename(full), self._node(os.lstat(full)))])

    def _os_unlink(self, path, *, dir_fd=None, name="unlink"):
        full = self._path(path, dir_fd)
        if full and os.path.lexists(full):
            self._operation(name, full)
        self._real[name](path, dir_fd=dir_fd)
        if self._record and full:
            self._entries([(os.path.dirname(full), os.path.basename(full), None)])

    def _os_remove(self, path, *, dir_fd=None):
        self._os_unlink(path, dir_fd=dir_fd, name="remove")

    def _os_rmdir(self, path, *, dir_fd=None):
        self._os_unlink(path, dir_fd=dir_fd, name="rmdir")

    # -- faults -----------------------------------------------------------------------------------------------------

    def _operation(self, name, path):
        """Count an operation; raise where it is to fail."""
        what = name, os.path.relpath(path, self.root)
        if self._only and what != self._only:
            return
        self.count += 1
        self.names.append(what)
        if self._next_fault and self._next_fault[0] == name:
            self._at, self._fault, self._next_fault = self.count, self._next_fault[1], None
        if self.count == self._at:
            self.struck = (name, os.path.relpath(path, self.root))
            if self._fault == "KILL":
                os.kill(os.getpid(), signal.SIGKILL)
            number = getattr(errno, self._fault)
            raise OSError(number, os.strerror(number), path)

    def _cut(self, name, path, data, write):
        """As `_operation`, of a write: one that fails for want of room is cut short first, as is one that is killed."""
        if self._full:
            self._full = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        half = memoryview(data)[: len(data) // 2]
        if self.count + 1 == self._at and not self._only and len(half) and self._fault in ("KILL", "ENOSPC"):
            if self._fault == "KILL":
                write(half)
            else:
                self.count, self.struck, self._full = (
                    self.count + 1,
                    (name, os.path.relpath(path, self.root)),
                    True,
                )
                return half
        self._operation(name, path)
        return data

    # -- what is written down ---------------------------------------------------------------------------------------

    def _path(self, path, dir_fd=None):
        """The full path; empty when it is not below the folder that is watched."""
        path = os.fsdecode(path)
        if dir_fd is not None:
            path = os.path.join(self._behind(dir_fd) or "/", path)
        full = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(path))), os.path.basename(path))
        return full if self._counts(full) else ""

    def _behind(self, fd):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
        except OSError:
            return ""
        return path if self._counts(path) else ""

    def _counts(self, path):
        """Whether a path lies below the folder that is watched; what a process prints is not what it saves."""
        return (path + "/").startswith(self.root + "/") and os.path.basename(path) != _OUTPUT

    def _is_written(self, fd):
        with self.unseen(f"/proc/self/fdinfo/{fd}") as info:
            flags = int(next(line for line in info if line.startswith("flags:")).split()[1], 8)
        return bool(flags & (os.O_WRONLY | os.O_RDWR))

    def _made(self, info):
        self._nodes[info.st_ino] = node = next(self._next)
        if stat.S_ISREG(info.st_mode):
            self.files.add(node)
        return node

    def _node(self, info):
        return self._nodes[info.st_ino]

    def _of(self, fd):
        return self._node(os.fstat(fd))

    def _entries(self, changes):
        """Note one change of a directory: names and what they now stand for."""
        self.log.append(
            ("entries", [(self._node(os.stat(folder)), name, node) for folder, name, node in changes])
        )

    def _wrote(self, fd, offset, data):
        if self._record:
            self.log.append(("write", self._of(fd), offset, data))

    def _know(self, path, node):
        self._nodes[os.stat(path).st_ino] = node
        for entry in os.scandir(path):
            child = self._nodes.get(entry.inode()) or next(self._next)
            if entry.is_dir():
                self._know(entry.path, child)
            else:
                self._nodes[entry.inode()] = child
                self.files.add(child)
                with open(entry.path, "rb") as file:
                    self.contents[child] = file.read()
            self.entries[node, entry.name] = child


def in_a_child(action):
    """Run `action` in a fork of this process and return its exit code, negative for a signal; 99 where it raises."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = action() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
