"""Who may do what in the ledger: finance writes, an approver approves, both and auditors read."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from services.ledger.resources import Opened, Resources
from shared.auth.principals import Principal
from shared.auth.roles import Role
from shared.auth.staff import require_staff
from shared.errors import IdempotencyKeyReused, InProgress
from shared.web.idempotency import Attempt, Created, View, attempt_of

Reader = Annotated[Principal, Depends(require_staff(Role.FINANCE, Role.APPROVER, Role.AUDITOR))]
Finance = Annotated[Principal, Depends(require_staff(Role.FINANCE))]
Approver = Annotated[Principal, Depends(require_staff(Role.APPROVER))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters; the same key never creates twice.",
    ),
]


@dataclass(frozen=True, slots=True)
class Creation:
    """A POST that creates, under the idempotency key of its request if it has one."""

    request: Request
    response: Response
    finance: Principal
    opened: Resources

    def attempt(self, body: BaseModel) -> Attempt:
        return attempt_of(self.request, self.finance.subject, body)

    def answer(self, created: Created[View]) -> View:
        if created.replayed:
            self.response.headers["Idempotent-Replayed"] = "true"
        return created.view


def _creation(
    request: Request,
    response: Response,
    finance: Finance,
    opened: Opened,
    _key: IdempotencyKey = None,
) -> Creation:
    return Creation(request, response, finance, opened)


Creating = Annotated[Creation, Depends(_creation)]
CREATING_REFUSALS = (InProgress, IdempotencyKeyReused)
