"""The rows of second factors. A code is looked at, used up and counted under the lock of its row.

Deliberately absent: which decision needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from bot.domain.factor import (
    BEGUN_FOR_S,
    LOCKED_FOR_S,
    MAX_FAILURES,
    Check,
    Checked,
    Factor,
    is_recovery,
)
from bot.domain.session import PersonId
from bot.errors import StoreError
from bot.store.schema import digest
from bot.store.schema_known import factors, recovery_codes
from bot.store.transaction import Audited, Notes, insert_or_update
from bot.store.vault import Vault, in_base32, new_recovery_codes, new_secret, steps_of


class StoredFactors(Audited):
    __slots__ = ("_vault",)

    def __init__(self, connection: Connection, moment: Callable[[], float], audit: Notes, vault: Vault) -> None:
        super().__init__(connection, moment, audit)
        self._vault = vault

    def get(self, person: PersonId) -> Factor | None:
        row = self._row(person)
        return None if row is None else self._factor_of(row)

    def listing(self) -> Sequence[Factor]:
        rows = self.connection.execute(select(factors).order_by(factors.c.person)).all()
        return [self._factor_of(row) for row in rows]

    # --- an operator's changes ---------------------------------------------------------------------

    def begin(self, person: PersonId, *, by: str) -> str | None:
        self._need_key()
        row = self._row(person, locked=True)
        if row is not None and row.enrolled_at is not None:
            return None
        secret = new_secret()
        values = {
            "person_digest": digest(person),
            "person": person,
            "sealed": self._vault.seal(person, secret),
            "begun_at": self.now,
            "begun_by": by,
            "last_step": 0,
            "failures": 0,
        }
        changed = ("sealed", "begun_at", "begun_by")
        self.connection.execute(
            insert_or_update(
                self.dialect, factors, "person_digest", lambda new: {name: new[name] for name in changed}
            ).values(values)
        )
        return in_base32(secret)

    def enrol(self, person: PersonId, code: str, *, by: str) -> Sequence[str] | None:
        self._need_key()
        row = self._row(person, locked=True)
        if row is None or row.enrolled_at is not None or self.now >= row.begun_at + BEGUN_FOR_S:
            return None
        secret = self._vault.unseal(person, row.sealed)
        steps = [] if secret is None or is_recovery(code) else steps_of(secret, code, self.now)
        if not steps:
            return None
        self._change(person, enrolled_at=self.now, last_step=max(steps))
        self.audit.note("factor_enrolled", by, {"person": person})
        return self._new_codes(person)

    def renew_codes(self, person: PersonId, *, by: str) -> Sequence[str] | None:
        self._need_key()
        row = self._row(person, locked=True)
        if row is None or row.enrolled_at is None:
            return None
        self.audit.note("factor_codes", by, {"person": person})
        return self._new_codes(person)

    def unlock(self, person: PersonId, *, by: str) -> bool:
        row = self._row(person, locked=True)
        if row is None or row.enrolled_at is None:
            return False
        self._change(person, failures=0, locked_until=None)
        self.audit.note("factor_unlocked", by, {"person": person})
        return True

    def remove(self, person: PersonId, *, by: str) -> bool:
        gone = self.connection.execute(delete(factors).where(factors.c.person_digest == digest(person)))
        if gone.rowcount:
            self.audit.note("factor_removed", by, {"person": person})
        return bool(gone.rowcount)

    # --- codes -------------------------------------------------------------------------------------

    def check(self, person: PersonId, code: str) -> Checked:
        row = self._row(person, locked=True)
        if row is None or row.enrolled_at is None:
            return Checked(check=Check.NOT_ENROLLED)
        if row.locked_until is not None and self.now < row.locked_until:
            self.audit.note("factor_refused", person, {"why": Check.LOCKED.value})
            return Checked(check=Check.LOCKED, locked_until=row.locked_until)
        secret = self._vault.unseal(person, row.sealed)
        if secret is None:
            self.audit.note("factor_refused", person, {"why": Check.UNREADABLE.value})
            return Checked(check=Check.UNREADABLE)
        if is_recovery(code):
            if not self._use_recovery(person, code):
                return self._wrong(person, row)
            self._change(person, failures=0, locked_until=None, last_used_at=self.now)
            left = self._recovery_left(person)
            self.audit.note("factor_used", person, {"how": "recovery code", "left": left})
            return Checked(check=Check.RIGHT, recovery_left=left)
        steps = steps_of(secret, code, self.now)
        if not steps:
            return self._wrong(person, row)
        if max(steps) <= row.last_step:
            # It was right: somebody hurried, or somebody read it. That is no guess, and teaches nothing.
            self.audit.note("factor_refused", person, {"why": Check.REPEATED.value})
            return Checked(check=Check.REPEATED)
        self._change(person, last_step=max(steps), failures=0, locked_until=None, last_used_at=self.now)
        self.audit.note("factor_used", person, {"how": "device"})
        return Checked(check=Check.RIGHT)

    def spend(self, person: PersonId, codes: Collection[str]) -> frozenset[str]:
        row = self._row(person, locked=True)
        secret = None if row is None or row.enrolled_at is None else self._vault.unseal(person, row.sealed)
        if row is None or secret is None:
            return frozenset()
        spent, is_new, last_step = set(), False, row.last_step
        for code in codes:
            if is_recovery(code):
                is_new = self._use_recovery(person, code) or is_new
                is_right = self._is_recovery_of(person, code)
            else:
                steps = steps_of(secret, code, self.now)
                last_step, is_right = max(last_step, *steps, 0), bool(steps)
            if is_right:
                spent.add(code)
        if last_step > row.last_step:
            self._change(person, last_step=last_step)
        if is_new or last_step > row.last_step:
            self.audit.note("factor_spent", person, {"count": len(spent)})
        return frozenset(spent)

    def _wrong(self, person: PersonId, row: Row[Any]) -> Checked:
        left = MAX_FAILURES - row.failures - 1
        is_locked = left <= 0
        until = self.now + LOCKED_FOR_S if is_locked else None
        self._change(person, failures=0 if is_locked else row.failures + 1, locked_until=until)
        self.audit.note("factor_refused", person, {"why": Check.WRONG.value, "left": left, "locked": is_locked})
        return Checked(check=Check.WRONG, left=left, locked_until=until)

    def _use_recovery(self, person: PersonId, code: str) -> bool:
        used = self.connection.execute(
            update(recovery_codes)
            .where(
                recovery_codes.c.person_digest == digest(person),
                recovery_codes.c.digest == self._vault.hashed(person, code),
                recovery_codes.c.used_at.is_(None),
            )
            .values(used_at=self.now)
        )
        return bool(used.rowcount)

    def _is_recovery_of(self, person: PersonId, code: str) -> bool:
        """Used or not."""
        known = select(recovery_codes.c.digest).where(
            recovery_codes.c.person_digest == digest(person),
            recovery_codes.c.digest == self._vault.hashed(person, code),
        )
        return self.connection.execute(known).first() is not None

    # --- rows --------------------------------------------------------------------------------------

    def _need_key(self) -> None:
        if not self._vault.is_open:
            raise StoreError("no key of the gateway was given, so nothing can be sealed; this is a fault in Homing")

    def _new_codes(self, person: PersonId) -> list[str]:
        drawn = new_recovery_codes()
        mine = digest(person)
        self.connection.execute(delete(recovery_codes).where(recovery_codes.c.person_digest == mine))
        self.connection.execute(
            insert(recovery_codes),
            [{"person_digest": mine, "digest": self._vault.hashed(person, code)} for code in drawn],
        )
        return drawn

    def _row(self, person: PersonId, *, locked: bool = False) -> Row[Any] | None:
        query = select(factors).where(factors.c.person_digest == digest(person))
        return self.connection.execute(query.with_for_update() if locked else query).first()

    def _change(self, person: PersonId, **values: object) -> None:
        self.connection.execute(update(factors).where(factors.c.person_digest == digest(person)).values(**values))

    def _recovery_left(self, person: PersonId) -> int:
        unused = select(func.count()).where(
            recovery_codes.c.person_digest == digest(person), recovery_codes.c.used_at.is_(None)
        )
        return self.connection.execute(unused).scalar_one()

    def _factor_of(self, row: Row[Any]) -> Factor:
        person = PersonId(row.person)
        return Factor(
            person=person,
            begun_at=row.begun_at,
            begun_by=row.begun_by,
            enrolled_at=row.enrolled_at,
            failures=row.failures,
            locked_until=row.locked_until,
            last_used_at=row.last_used_at,
            recovery_left=self._recovery_left(person),
        )
