"""What the cycle function is invoked with: a step of its state machine, or an execution that was stopped. Pure."""

from __future__ import annotations

from rollcall.workflow import invocation

STEPS = ("preflight", "pin", "start", "follow", "verify", "put_back")  # of statemachines/cycle.asl.json


def read_invocation(event: object) -> invocation.Invocation:
    """An event for the cycle function. Raises BadEvent naming the field that is missing or wrong."""
    return invocation.read_invocation(event, STEPS)
