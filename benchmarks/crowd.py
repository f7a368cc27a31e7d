"""What many people wait who use the Users page at once: sessions without a browser, on loopback.

Every few seconds a session asks for other accounts, as a press on a filter does, and waits until
the page is drawn.
"""

from __future__ import annotations

import asyncio
import random
import time
from statistics import median, quantiles
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from benchmarks.serving import PROTOCOLS, STREAM, asking, is_drawn
from data.states import STATE_NAMES

PAUSE = 5.0
"""Seconds that a person looks at a list before asking for another."""

TRIAL_SECONDS = 40.0
"""Seconds of a trial."""


def crowd(url: str, people: int) -> str:
    """A table row: how long each waited for each list."""
    waits = asyncio.run(_all(url, people))
    worst = quantiles(waits, n=20)[-1]
    return f"| {people} | {1000 * median(waits):.0f} ms | {1000 * worst:.0f} ms | {len(waits)} |"


async def _all(url: str, people: int) -> list[float]:
    ends = time.monotonic() + TRIAL_SECONDS + PAUSE
    found = await asyncio.gather(*(_one(url, random.Random(n), ends) for n in range(people)))
    return [wait for waits in found for wait in waits]


async def _one(url: str, chance: random.Random, ends: float) -> list[float]:
    """The waits of one person, in seconds, but for the first visit."""
    waits: list[float] = []
    await asyncio.sleep(chance.random() * PAUSE)
    address = f"{url.replace('http', 'ws', 1)}/{STREAM}"
    async with connect(
        address, origin=Origin(url), subprotocols=PROTOCOLS, max_size=None
    ) as socket:
        await _ask(socket, {})
        while time.monotonic() < ends:
            await asyncio.sleep(PAUSE * (0.5 + chance.random()))
            began = time.monotonic()
            await _ask(socket, {"state": chance.sample(STATE_NAMES, 2), "sort": "last_updated"})
            waits.append(time.monotonic() - began)
    return waits


async def _ask(socket: ClientConnection, params: dict[str, Any]) -> None:
    await socket.send(asking(params, "users"))
    async for message in socket:
        if is_drawn(message):
            return
