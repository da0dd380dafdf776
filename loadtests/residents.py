"""Residents in bulk: their persons resolved and their passes signed without a request for each."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncpg

from loadtests.planning import Drop
from services.claim.holders import IDENTITY_KEY_VERSION, Holder, Identities
from services.claim.passes import Pass, Passes
from shared.auth.development_keys import DevelopmentIssuer
from shared.gate.statement import microseconds
from shared.ids import new_id
from shared.secrets import Secrets

_RESOLVE = "SELECT claim.resolve_persons($1, $2, $3, $4)"
_RESOLVED_AT_ONCE = 1000


class Residents:
    """Makes the holders of one data dir, as its claim service would."""

    def __init__(self, data_dir: Path, postgres_url: str) -> None:
        secrets = Secrets.load(data_dir)
        self._postgres_url = postgres_url
        self._identities = Identities(secrets)
        self._passes = Passes(secrets)
        self._issuer = DevelopmentIssuer(data_dir)

    async def resolve(self, city_id: int, subjects: Sequence[str]) -> list[Holder]:
        """Return the holders behind subjects, each with its person."""
        hashes = [self._identities.subject_hash(city_id, subject) for subject in subjects]
        holders = []
        connection = await asyncpg.connect(self._postgres_url)
        try:
            for start in range(0, len(hashes), _RESOLVED_AT_ONCE):
                some = hashes[start : start + _RESOLVED_AT_ONCE]
                minted = [new_id(city_id) for _ in some]
                people = await connection.fetchval(
                    _RESOLVE, city_id, IDENTITY_KEY_VERSION, some, minted
                )
                holders += [Holder(*known) for known in zip(some, people, strict=True)]
        finally:
            await connection.close()
        return holders

    def passes(self, drop: Drop, holders: Iterable[Holder]) -> list[str]:
        """Sign a pass for each holder, good from now until the drop closes."""
        expires_us = microseconds(drop.closes_at)
        return [
            self._passes.sign(Pass(drop.drop_id, holder, admits_us=0, expires_us=expires_us))
            for holder in holders
        ]

    def tokens(self, subjects: Iterable[str]) -> list[str]:
        """Issue a resident's JWT for each subject."""
        return [self._issuer.issue(subject, ["resident"]) for subject in subjects]
