"""A gateway with pages over the sample archive, and visitors of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from audit_stream.gateway.caller import SCOPES
from tests.support.asking import Asked, serving
from tests.support.sample import Sample, make_sample
from tests.support.visiting import Visitor

DAYS = 12


@dataclass
class Site:
    """The gateway, and what is in its archive."""

    asked: Asked
    sample: Sample
    visitors: list[Visitor] = field(default_factory=list)

    def visitor(self) -> Visitor:
        self.visitors.append(Visitor(self.asked.url))
        return self.visitors[-1]

    def signed_in(self, *tenants: str, scopes: tuple[str, ...] = SCOPES) -> Visitor:
        visitor = self.visitor()
        visitor.sign_in(self.asked.token(*tenants, scopes=scopes))
        return visitor


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    sample = asyncio.run(make_sample(tmp_path_factory.mktemp("site"), days=DAYS))
    with serving(sample.settings) as asked:
        found = Site(asked, sample)
        yield found
        for each in found.visitors:
            each.client.close()


@pytest.fixture
def visitor(site: Site) -> Visitor:
    """Signed in, and allowed everything."""
    return site.signed_in()
