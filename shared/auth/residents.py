"""Routes for residents: the token's subject is the holder."""

from typing import Annotated

from fastapi import Depends

from shared.auth.bearer import authenticated
from shared.auth.principals import Principal
from shared.auth.roles import Role
from shared.errors import Forbidden


async def require_resident(
    principal: Annotated[Principal, Depends(authenticated)],
) -> Principal:
    if Role.RESIDENT not in principal.roles:
        raise Forbidden("This needs the role resident.")
    return principal
