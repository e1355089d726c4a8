"""What the operators' scripts say of a function's answer, or of its error."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import stack


class _Lambda:
    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def invoke(self, **_: object) -> dict[str, Any]:
        return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(self._answer).encode())}


@pytest.mark.parametrize(("function", "pointed"), [("ReconcileFunction", True), ("DoctorFunction", False)])
def test_a_run_that_ends_in_an_error_points_to_doctor_unless_it_is_doctors(
    monkeypatch: pytest.MonkeyPatch, function: str, pointed: bool
) -> None:
    away = {"errorType": "TowerUnavailable", "errorMessage": "Tower keeps turning us away, with 503"}
    monkeypatch.setattr(stack, "physical_id", lambda *_: "rollcall-function")
    monkeypatch.setattr(stack.boto3, "client", lambda *_, **__: _Lambda(away))
    with pytest.raises(stack.NotRun) as ended:
        stack.invoke("rollcall", function, {})
    assert "ended in an error: TowerUnavailable: Tower keeps turning us away, with 503\n" in str(ended.value)
    assert ("make doctor says what is wrong with Tower" in str(ended.value)) is pointed
    assert "the function's log says more" in str(ended.value)
