"""The service against the reference model of rewards, with Hypothesis's stateful testing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from reward_machine import PEOPLE, Machine
from reward_service import ServiceSide
from reward_sides import START, ModelSide
from support import Service

_QUIET = settings(
    deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
SHORT = settings(_QUIET, max_examples=20, stateful_step_count=40)
LONG = settings(_QUIET, max_examples=100, stateful_step_count=60, derandomize=False)


def test_machine_on_two_copies_of_the_model() -> None:
    """The machine itself works: two copies of the model never differ."""

    async def make_side() -> ModelSide:
        return ModelSide()

    _run(make_side, asyncio.Runner().run, settings(_QUIET, max_examples=50))


async def test_the_service_agrees_with_the_model(service: Service) -> None:
    """Entries, balances and refusals are the model's after each operation."""
    await _compare(service, SHORT)


@pytest.mark.long
async def test_the_service_agrees_with_the_model_for_long(service: Service) -> None:
    """The same with more and longer runs, other ones each time."""
    await _compare(service, LONG)


async def _compare(service: Service, profile: settings) -> None:
    loop, runs = asyncio.get_running_loop(), count(1)

    async def make_side() -> ServiceSide:
        # A year after the last run, so that the limits have refilled and the months are the same
        now = START.replace(year=max(START.year, service.clock().year) + 2)
        return await ServiceSide.start(service, PEOPLE, now=now, suffix=f"-{next(runs)}")

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    await asyncio.to_thread(_run, make_side, run, profile)


def _run(
    make_side: Callable[[], Coroutine[Any, Any, Any]],
    run: Callable[[Coroutine[Any, Any, Any]], Any],
    profile: settings,
) -> None:
    class Compared(Machine):
        pass

    Compared.make_side, Compared.run = staticmethod(make_side), staticmethod(run)
    run_state_machine_as_test(Compared, settings=profile)
