"""The user account that the servers run under.

Postgres refuses to run as root. Started by root, the servers run as the owner of the data, or as `nobody` where that is
root. If that user cannot reach the checkout, say under /root, the servers keep the one capability that lets them.
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
    """A user to run as instead of root. `reaches_all`: it may enter folders closed to it."""

    uid: int
    gid: int
    reaches_all: bool


def account_for(folder: Path, binary: Path) -> Account | None:
    """Return the account for a server on `folder`; None if this process is not root and needs no other."""
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
    """Return what a server does between fork and exec: drop root, and request a signal for its parent's death."""
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
            # After the change of user, which clears this.
            _libc.prctl(1, death_signal, 0, 0, 0)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _keep_dac_override() -> None:
    """Keep CAP_DAC_OVERRIDE, and no other capability, across exec."""
    bit = 1 << 1
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if _libc.capset(header, sets) != 0 or _libc.prctl(47, 2, 1, 0, 0) != 0:  # PR_CAP_AMBIENT, RAISE
        raise OSError(ctypes.get_errno(), "capabilities")
