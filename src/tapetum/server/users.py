"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; each role may do what those before it may."""

    VIEWER = "viewer"
    """Look at the gallery, and search by a tracklet of it."""
    OPERATOR = "operator"
    """Search by pictures from outside, and by marked answers."""
    ADMIN = "admin"
    """Erase, purge, and read the audit log."""

    def includes(self, other: Role) -> bool:
        """Whether somebody of this role may do what `other` may.

        >>> Role.ADMIN.includes(Role.VIEWER), Role.VIEWER.includes(Role.OPERATOR)
        (True, False)
        """
        order = list(Role)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class User:
    """Who asks, and from where; the audit log names them.

    Attributes:
        name: Of the token that was shown; "local" where the service has no tokens.
        role: What they may do.
        address: Of the machine that asks; "" where unknown.
        request_id: Names the request, in the log and in the answer's header.
    """

    name: str
    role: Role
    address: str = ""
    request_id: str = ""


LOCAL = User("local", Role.ADMIN)
"""Who asks where the service listens to this machine only and has no tokens."""
