"""Who is calling, as their token states it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EVERY_CITY = "*"
SUBJECT_LENGTH_MAX = 128
_LIST_LENGTH_MAX = 64
_TEXT_LENGTH_MAX = 64


class ClaimsRefusedError(ValueError):
    """A token's claims have a form that no issuer of ours makes; the message names the claim."""


@dataclass(frozen=True, slots=True)
class ResidentAttributes:
    """What the identity provider vouches for, as eligibility rules compare it."""

    city: str | None = None
    district: str | None = None
    age_band: str | None = None
    lanes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. `expires_at` is the token's `exp`, in seconds since the epoch."""

    subject: str
    roles: frozenset[str]
    cities: frozenset[str]
    attributes: ResidentAttributes
    expires_at: float

    def may_act_in(self, city_code: str) -> bool:
        return EVERY_CITY in self.cities or city_code in self.cities

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> "Principal":
        """Read the claims of a verified token. Raises ClaimsRefusedError."""
        return cls(
            subject=_subject(claims.get("sub")),
            roles=_texts(claims, "roles", required=True),
            cities=_texts(claims, "cities"),
            attributes=ResidentAttributes(
                city=_text(claims, "city"),
                district=_text(claims, "district"),
                age_band=_text(claims, "age_band"),
                lanes=_texts(claims, "lanes"),
            ),
            expires_at=_expiry(claims.get("exp")),
        )


def _subject(given: object) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= SUBJECT_LENGTH_MAX:
        raise ClaimsRefusedError(f"sub must be a text of 1 to {SUBJECT_LENGTH_MAX} characters")
    if not (given.isascii() and given.isprintable()):
        raise ClaimsRefusedError("sub must be printable ASCII")
    return given


def _expiry(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ClaimsRefusedError("exp must be a number")
    try:
        expires_at = float(given)
    except OverflowError as error:
        raise ClaimsRefusedError("exp is out of range") from error
    if not math.isfinite(expires_at):
        raise ClaimsRefusedError("exp must be finite")
    return expires_at


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    given = claims.get(name)
    return None if given is None else _plain(given, name)


def _texts(claims: Mapping[str, Any], name: str, *, required: bool = False) -> frozenset[str]:
    given = claims.get(name)
    if given is None and not required:
        return frozenset()
    if not isinstance(given, list) or len(given) > _LIST_LENGTH_MAX:
        raise ClaimsRefusedError(f"{name} must be a list of at most {_LIST_LENGTH_MAX} texts")
    return frozenset(_plain(element, name) for element in given)


def _plain(given: object, name: str) -> str:
    if not isinstance(given, str) or not 1 <= len(given) <= _TEXT_LENGTH_MAX:
        raise ClaimsRefusedError(f"{name} must hold texts of 1 to {_TEXT_LENGTH_MAX} characters")
    if not given.isprintable():
        raise ClaimsRefusedError(f"{name} must be printable")
    return given
