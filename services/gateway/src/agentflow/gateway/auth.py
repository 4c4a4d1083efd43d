"""Every route names the permission it needs; without a known key nobody gets further.

Keys come as `X-API-Key` or `Authorization: Bearer`. Identity is what the key says.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request

from agentflow.contracts.ids import DEFAULT_TENANT
from agentflow.gateway.auth_failures import AuthFailures
from agentflow.gateway.errors import Forbidden, Unauthenticated
from agentflow.gateway.key_cache import KeyCache
from agentflow.gateway.measures import Measures
from agentflow.gateway.permissions import Permission, Principal
from agentflow.gateway.problems import request_id_of

_HINT = "Send it as `X-API-Key: <key>` or `Authorization: Bearer <key>`."
_MAX_KEY = 512


class Doorkeeper:
    """Says who is asking, and records who was refused."""

    def __init__(self, keys: KeyCache, failures: AuthFailures, measures: Measures) -> None:
        self._keys = keys
        self._failures = failures
        self._measures = measures

    async def admit(self, request: Request, permission: Permission) -> Principal:
        """The caller; raises Unauthenticated, Forbidden or DependencyDown."""
        key = key_of(request)
        if key is None:
            self._refused(request, "missing")
            raise Unauthenticated("An API key is needed.", hint=_HINT)
        verdict = await self._keys.find(key[:_MAX_KEY])
        principal = verdict.principal
        if principal is None:
            self._refused(request, verdict.refusal or "unknown")
            raise Unauthenticated("This API key is not known (any more).", hint=_HINT)
        if not principal.may(permission):
            self._refused(request, "forbidden", principal)
            raise Forbidden(
                f"The role {principal.role.value!r} lacks the permission {permission.value!r}."
            )
        return principal

    def _refused(self, request: Request, reason: str, who: Principal | None = None) -> None:
        self._measures.auth_failures.labels(reason).inc()
        client = request.scope.get("client")
        self._failures.record(
            reason,
            path=request.scope["path"],
            request_id=request_id_of(request),
            address=client[0] if client else None,
            tenant=who.tenant if who else DEFAULT_TENANT,
            actor=who.user if who else None,
        )


def key_of(request: Request) -> str | None:
    """The key the request carries, if any."""
    key = request.headers.get("x-api-key")
    if key:
        return key.strip()
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return None


def requires(permission: Permission) -> Callable[[Request], Awaitable[Principal]]:
    """The route dependency that lets in whoever has `permission`."""

    async def admitted(request: Request) -> Principal:
        doorkeeper: Doorkeeper = request.app.state.gateway.doorkeeper
        return await doorkeeper.admit(request, permission)

    admitted.permission = permission  # type: ignore[attr-defined]  # tests walk the routes by it
    return admitted
