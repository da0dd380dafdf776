"""The roles a token may carry."""

from enum import StrEnum


class Role(StrEnum):
    """Staff roles act for the cities of their token; a resident acts for themselves."""

    RESIDENT = "resident"
    OPERATOR = "operator"
    APPROVER = "approver"
    FINANCE = "finance"
    AUDITOR = "auditor"


STAFF_ROLES = frozenset(Role) - {Role.RESIDENT}
