"""What about the place and the system a run is started on may harm it: each a sentence for the user, or none."""

import getpass
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

NETWORK = frozenset(
    "nfs nfs4 cifs smb smb2 smb3 smbfs 9p afs ceph glusterfs lustre beegfs gpfs ncpfs afpfs webdav davfs "
    "fuse.sshfs fuse.glusterfs fuse.ceph fuse.rclone fuse.s3fs fuse.davfs2 fuse.gvfsd-fuse fuse.juicefs".split()
)
"""Types of file systems that several machines may write to at once, by the names in /proc/self/mountinfo."""

MOUNTS = Path("/proc/self/mountinfo")
LOGIND = tuple(Path(place, "systemd") for place in ("/usr/lib", "/usr/local/lib", "/run", "/etc"))
"""Where logind is configured, the last word last."""
CGROUP = Path("/proc/self/cgroup")


def warnings(runs_dir: Path) -> list[str]:
    """Return all that a user should know before a run is started in `runs_dir`; seldom anything."""
    return [text for text in (open_to_others(runs_dir), on_network(runs_dir), ends_at_logout()) if text]


def open_to_others(runs_dir: Path) -> str:
    """Say that another user can put something in the place of a run; empty where none can, or the folder is not there.

    A folder that all may write to is safe where only owners may rename (the sticky bit, as in /tmp).
    """
    try:
        info = runs_dir.stat()
    except OSError:
        return ""
    if info.st_uid not in (os.geteuid(), 0):
        return (
            f"{runs_dir} belongs to another user, who can exchange the runs in it; keep runs in a folder of your own "
            "with --runs-dir"
        )
    if info.st_mode & stat.S_IWOTH and not info.st_mode & stat.S_ISVTX:
        return f"every user may exchange the runs in {runs_dir}; close it with chmod o-w {runs_dir}"
    return ""


def on_network(path: Path) -> str:
    """Say that `path` lies on a network file system, and what that means; empty where it does not."""
    kind = network_kind(path)
    if not kind:
        return ""
    return (
        f"{path} is on a network file system ({kind}), where other machines may not see a lock: start and resume a "
        "run on one machine at a time"
    )


def network_kind(path: Path) -> str:
    """Return the type of the network file system that `path` is on; empty for a local one, or where nobody can tell."""
    kind, longest = "", -1
    target = os.path.realpath(path)
    for place, found in _mounts():
        inside = target == place or target.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:  # of two on one place the later one is seen
            kind, longest = found, len(place)
    return kind if kind in NETWORK else ""


def _mounts() -> Iterator[tuple[str, str]]:
    """The place and the type of each file system, in the order they were mounted; see proc_pid_mountinfo(5)."""
    try:
        lines = MOUNTS.read_bytes().splitlines()
    except OSError:  # another system
        return
    for line in lines:
        fields, found, rest = line.partition(b" - ")
        if found and len(parts := fields.split(b" ")) > 4:
            place = re.sub(rb"\\([0-7]{3})", lambda code: bytes([int(code[1], 8) & 255]), parts[4])
            yield os.fsdecode(place), os.fsdecode(rest.partition(b" ")[0])


def ends_at_logout() -> str:
    """Say that systemd-logind is set to end this user's processes at logout; empty where it is not, or cannot be known.

    What runs in the scope of a login session is ended with it, whether or not the user lingers.
    """
    if sys.platform != "linux" or not _in_session():
        return ""
    set_to, only, excluded = "", "", "root"
    for key, value in _logind_settings():
        if key == "KillUserProcesses":
            set_to = value
        elif key == "KillOnlyUsers":
            only = value
        else:
            excluded = value
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.geteuid())
    spared = name in excluded.split() or (only.split() and name not in only.split())
    if set_to.lower() not in ("yes", "true", "1", "on") or spared:
        return ""
    return (
        "this system ends all that you started when you log out (KillUserProcesses=yes), a run too; to keep one, allow "
        "it once with `loginctl enable-linger` and start it with `systemd-run --user --scope rnn-tui …`"
    )


def _in_session() -> bool:
    try:
        return re.search(r"/session-[^/]+\.scope", CGROUP.read_text()) is not None
    except (OSError, ValueError):
        return False


def _logind_settings() -> Iterator[tuple[str, str]]:
    """The settings of logind.conf and what is dropped in beside it that decide who is ended, in their order.

    The default that the system was built with stands as a comment in the file that comes with it.
    """
    main = [place / "logind.conf" for place in LOGIND]
    dropped: dict[str, Path] = {}
    for place in LOGIND:
        dropped |= {path.name: path for path in _conf(place / "logind.conf.d")}  # one name is one file
    files = [*main, *(dropped[name] for name in sorted(dropped))]
    pattern = re.compile(r"\s*(#?)\s*(KillUserProcesses|KillOnlyUsers|KillExcludeUsers)\s*=\s*(.*?)\s*")
    found = [match for path in files for line in _lines(path) if (match := pattern.fullmatch(line))]
    for comment in (True, False):
        yield from ((match[2], match[3]) for match in found if bool(match[1]) == comment)


def _conf(folder: Path) -> Iterable[Path]:
    try:
        return [path for path in folder.iterdir() if path.suffix == ".conf"]
    except OSError:
        return []


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
