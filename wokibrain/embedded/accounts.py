"""The account the servers run under, and folders only they may enter.

Postgres refuses to run as root. Started by root, the servers run as the user the data belongs to, else as `nobody`;
where that user cannot reach the checkout (say, under /root), they keep the one capability needed to do so.
"""

import ctypes
import os
import pwd
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Account:
    """Another user to run as, because we are root. `reaches_all`: let it pass folders closed to it."""

    uid: int
    gid: int
    reaches_all: bool


def account_for(folder: Path, binary: Path) -> Account | None:
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    if owner.st_uid:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    return Account(uid, gid, reaches_all=not (_passable(folder.parent) and _passable(binary)))


def _passable(path: Path) -> bool:
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents))


def in_child(account: Account | None, death_signal: int) -> Callable[[], None]:
    """What a server does between fork and exec: give up root, and ask to be told when its parent dies."""
    parent = os.getpid()

    def prepare() -> None:
        if account is not None:
            if account.reaches_all:
                _libc.prctl(8, 1, 0, 0, 0)  # PR_SET_KEEPCAPS
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            if account.reaches_all:
                _keep_dac_override()
        if sys.platform == "linux":
            # After the change of user, which would clear it.
            _libc.prctl(1, death_signal, 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _keep_dac_override() -> None:
    """Keep CAP_DAC_OVERRIDE over exec, and nothing else."""
    bit = 1 << 1
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if _libc.capset(header, sets) != 0 or _libc.prctl(47, 2, 1, 0, 0) != 0:  # PR_CAP_AMBIENT, RAISE
        raise OSError(ctypes.get_errno(), "capabilities")
