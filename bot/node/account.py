"""The account that commands run as: its name, numbers, groups, home and shell.

Deliberately absent: changing to it, which the child does by itself (see `starter`).
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass

from bot.domain.command import SHELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
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


def own_account() -> Account:
    """The one that the node itself runs as."""
    uid = os.geteuid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        # A container with a bare user id.
        groups = tuple(os.getgroups())
        return Account(name=f"#{uid}", uid=uid, gid=os.getegid(), groups=groups, home="/", shell=SHELL)


def account_named(name: str) -> Account | None:
    """None where this machine has no such account."""
    own = own_account()
    if name == own.name:
        return own
    try:
        return _account(pwd.getpwnam(name))
    except KeyError:
        return None


def _account(found: pwd.struct_passwd) -> Account:
    return Account(
        name=found.pw_name,
        uid=found.pw_uid,
        gid=found.pw_gid,
        groups=tuple(sorted(set(os.getgrouplist(found.pw_name, found.pw_gid)))),
        home=found.pw_dir,
        shell=found.pw_shell or SHELL,
    )
