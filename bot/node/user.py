"""The user that commands run as: its name, numbers, groups, home and shell.

Deliberately absent: changing to it, which the child does by itself (see `starter`).
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from bot.domain.command import SHELL


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary ones, the first group among them."""
    home: str
    shell: str

    @property
    def is_own(self) -> bool:
        """The node's: nothing has to be changed."""
        return self.uid == os.geteuid()


def own_user() -> User:
    """The one that the node itself runs as."""
    uid = os.geteuid()
    try:
        return _user(pwd.getpwuid(uid))
    except KeyError:
        # A container with a bare user id.
        groups = tuple(os.getgroups())
        return User(name=f"#{uid}", uid=uid, gid=os.getegid(), groups=groups, home="/", shell=SHELL)


def user_named(name: str) -> User | None:
    """None where this machine has no such user."""
    own = own_user()
    if name == own.name:
        return own
    try:
        return _user(pwd.getpwnam(name))
    except KeyError:
        return None


def _user(found: pwd.struct_passwd) -> User:
    return User(
        name=found.pw_name,
        uid=found.pw_uid,
        gid=found.pw_gid,
        groups=tuple(sorted(set(os.getgrouplist(found.pw_name, found.pw_gid)))),
        home=found.pw_dir,
        shell=found.pw_shell or SHELL,
    )
