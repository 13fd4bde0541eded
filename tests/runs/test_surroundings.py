import os
import stat
from pathlib import Path

import pytest

from rnn_tui.cli import doctor
from rnn_tui.runs import surroundings
from rnn_tui.runs.surroundings import ends_at_logout, network_kind, on_network, open_to_others, warnings

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /home rw,relatime shared:14 - nfs4 server:/home rw,vers=4.2
31 30 8:2 / /home/me/local rw shared:15 master:3 - xfs /dev/sdb1 rw
32 22 0:40 / /mnt/my\\040share rw - cifs //server/share rw
33 22 0:41 / /mnt/far rw - fuse.sshfs me@far: rw
34 22 0:42 / /mnt/vm rw - 9p hostshare rw
35 22 0:43 / /mnt/twice rw - nfs server:/a rw
36 22 0:44 / /mnt/twice rw - tmpfs tmpfs rw
damaged line
"""


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    monkeypatch.setattr(surroundings, "MOUNTS", tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/runs", ""),
        ("/home", "nfs4"),
        ("/home/me/runs", "nfs4"),
        ("/homes/me", ""),
        ("/home/me/local/runs", ""),
        ("/mnt/my share/runs", "cifs"),
        ("/mnt/far", "fuse.sshfs"),
        ("/mnt/vm/x", "9p"),
        ("/mnt/twice", ""),
    ],
)
def test_a_network_file_system_is_known_by_its_mount(mounts: None, path: str, kind: str) -> None:
    assert network_kind(Path(path)) == kind
    assert (f"({kind})" in on_network(Path(path))) == bool(kind)
    assert ("one machine at a time" in on_network(Path(path))) == bool(kind)


def test_where_nobody_can_tell_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "MOUNTS", tmp_path / "absent")
    assert network_kind(tmp_path) == ""


def test_a_link_to_a_network_file_system_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "far")
    (tmp_path / "mountinfo").write_text(
        f"1 1 0:1 / / rw - ext4 a rw\n2 1 0:2 / {tmp_path}/far rw - nfs b rw\n"
    )
    monkeypatch.setattr(surroundings, "MOUNTS", tmp_path / "mountinfo")
    assert network_kind(tmp_path / "runs" / "one") == "nfs"


@pytest.mark.parametrize(
    ("mode", "open_"), [(0o700, False), (0o755, False), (0o775, False), (0o777, True), (0o1777, False)]
)
def test_a_folder_in_which_all_may_rename(tmp_path: Path, mode: int, open_: bool) -> None:
    tmp_path.chmod(mode)
    assert (f"chmod o-w {tmp_path}" in open_to_others(tmp_path)) == open_
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode  # it is said, not changed
    tmp_path.chmod(0o700)


def test_a_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 4321)
    if tmp_path.stat().st_uid:
        assert "belongs to another user" in open_to_others(tmp_path)
    else:
        assert open_to_others(tmp_path) == ""  # root's: who can do anything anyway
        os.chown(tmp_path, 54321, -1)
        assert "belongs to another user" in open_to_others(tmp_path)
        os.chown(tmp_path, 0, -1)


def test_a_folder_that_is_not_there_yet_is_no_danger(tmp_path: Path) -> None:
    assert open_to_others(tmp_path / "runs") == ""


SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"


@pytest.mark.parametrize(
    ("files", "cgroup", "said"),
    [
        ({"etc/logind.conf": "[Login]\n#KillUserProcesses=no\n"}, SESSION, False),
        ({"etc/logind.conf": "[Login]\n#KillUserProcesses=yes\n"}, SESSION, True),
        ({"etc/logind.conf": "[Login]\nKillUserProcesses=yes\n"}, SESSION, True),
        ({"etc/logind.conf": "[Login]\n KillUserProcesses = true \n"}, SESSION, True),
        ({"etc/logind.conf": "KillUserProcesses=yes\n#KillUserProcesses=no\n"}, SESSION, True),
        ({"etc/logind.conf": "KillUserProcesses=no\n#KillUserProcesses=yes\n"}, SESSION, False),
        ({}, SESSION, False),
        ({"usr/lib/logind.conf": "#KillUserProcesses=yes\n"}, SESSION, True),
        (
            {"etc/logind.conf": "KillUserProcesses=no\n", "etc/logind.conf.d/9.conf": "KillUserProcesses=yes\n"},
            SESSION,
            True,
        ),
        (
            {"usr/lib/logind.conf.d/5.conf": "KillUserProcesses=yes\n", "etc/logind.conf.d/5.conf": "[Login]\n"},
            SESSION,
            False,
        ),
        (
            {
                "etc/logind.conf.d/1.conf": "KillUserProcesses=yes\n",
                "run/logind.conf.d/2.conf": "KillUserProcesses=no\n",
            },
            SESSION,
            False,
        ),
        ({"etc/logind.conf": "KillUserProcesses=yes\nKillExcludeUsers=root somebody\n"}, SESSION, False),
        ({"etc/logind.conf": "KillUserProcesses=yes\nKillOnlyUsers=students\n"}, SESSION, False),
        ({"etc/logind.conf": "KillUserProcesses=yes\nKillOnlyUsers=somebody\n"}, SESSION, True),
        ({"etc/logind.conf": "KillUserProcesses=yes\n"}, "0::/user.slice/user@1000.service/x.scope\n", False),
        ({"etc/logind.conf": "KillUserProcesses=yes\n"}, "0::/\n", False),
    ],
)  # fmt: skip
def test_a_system_that_ends_all_at_logout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cgroup: str, said: bool
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "cgroup").write_text(cgroup)
    places = tuple(tmp_path / place for place in ("usr/lib", "usr/local/lib", "run", "etc"))
    monkeypatch.setattr(surroundings, "LOGIND", places)
    monkeypatch.setattr(surroundings, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setenv("LOGNAME", "somebody")
    assert ("systemd-run --user --scope" in ends_at_logout()) == said
    assert len(warnings(tmp_path)) == said


def test_root_is_spared_unless_the_system_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logind.conf").write_text("KillUserProcesses=yes\n")
    (tmp_path / "cgroup").write_text(SESSION)
    monkeypatch.setattr(surroundings, "LOGIND", (tmp_path,))
    monkeypatch.setattr(surroundings, "CGROUP", tmp_path / "cgroup")
    monkeypatch.setenv("LOGNAME", "root")
    assert ends_at_logout() == ""
    (tmp_path / "logind.conf").write_text("KillUserProcesses=yes\nKillExcludeUsers=\n")
    assert ends_at_logout()


def test_the_doctor_tells_all_of_it(mounts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.surroundings(tmp_path) == []
    tmp_path.chmod(0o777)
    monkeypatch.setattr(surroundings, "network_kind", lambda path: "nfs4")
    found = doctor.surroundings(tmp_path)
    assert [(check.name, check.level) for check in found] == [("safety", "note")] * 2
    assert ["chmod o-w" in found[0].value, "nfs4" in found[1].value] == [True, True]
    tmp_path.chmod(0o700)
