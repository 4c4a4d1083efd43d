"""Who may do what. A role is a set of permissions; a route names the one it needs.

What is not granted is denied.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from agentflow.contracts.ids import TenantId


class Role(StrEnum):
    """What an API key was made for."""

    ADMIN = "admin"
    DEVELOPER = "developer"
    VIEWER = "viewer"
    EXECUTOR = "executor"


class Permission(StrEnum):
    """What a route needs."""

    VALIDATE = "workflows:validate"
    EXECUTE = "workflows:execute"
    READ = "executions:read"
    CANCEL = "executions:cancel"


GRANTS = MappingProxyType(
    {
        Role.ADMIN: frozenset(Permission),
        Role.DEVELOPER: frozenset(Permission),
        Role.EXECUTOR: frozenset(Permission),
        Role.VIEWER: frozenset({Permission.READ}),
    }
)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, as the API key says: never as the body says."""

    tenant: TenantId
    user: str
    role: Role
    key_id: str

    def may(self, permission: Permission) -> bool:
        """Whether the role grants `permission`."""
        return permission in GRANTS[self.role]
