"""The scene that most faults happen in: a portal over a server that fails and one that does not."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.portal.faults._scene import scene_at
from tests.portal.upstream.conftest import serving_scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.portal.conftest import PortalAt
    from tests.portal.faults._scene import InScene, Scene
    from tests.portal.upstream.offering import Offering


@pytest.fixture
def in_scene(portal_at: PortalAt) -> InScene:
    """Open a portal over this offering and a healthy one; ``limits`` are those of the offering's server."""

    @asynccontextmanager
    async def open_scene(offering: Offering, **fields: Any) -> AsyncIterator[Scene]:  # noqa: ANN401 -- passed on
        async with serving_scripted(offering.scripted) as url, scene_at(portal_at, url, **fields) as scene:
            yield scene

    return open_scene
