"""Routes for staff state which roles may call them."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends

from shared.auth.bearer import authenticated
from shared.auth.principals import Principal
from shared.auth.roles import STAFF_ROLES, Role
from shared.errors import Forbidden
from shared.invariant import invariant


def require_staff(*roles: Role) -> Callable[[Principal], Awaitable[Principal]]:
    """Return a dependency that lets through holders of any of `roles`.

    The route still asks `Principal.may_act_in` for the city it is about to touch.
    """
    invariant(bool(roles) and STAFF_ROLES.issuperset(roles), "a staff route names staff roles")
    allowed = frozenset(roles)

    async def staff(principal: Annotated[Principal, Depends(authenticated)]) -> Principal:
        if allowed.isdisjoint(principal.roles):
            raise Forbidden(f"This needs the role {' or '.join(sorted(allowed))}.")
        return principal

    return staff
