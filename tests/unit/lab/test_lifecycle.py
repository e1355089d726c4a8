"""The embedded Auto Scaling knows the states and passages that Auto Scaling has, and no others."""

from __future__ import annotations

from lab.aws.lifecycle import COUNTED, ENDED, PASSAGES, PREPARED, READY, states

NOT_ENTERED = {"Quarantined", "Warmed:Hibernated", "Warmed:Running", "Warmed:Stopped"}
"""The first is not used (API reference); the others are where a passage ends, as the pool wants its members to be."""


def test_every_state_that_an_instance_can_enter_is_one_of_the_api_and_none_is_left_out() -> None:
    entered = {"InService", "EnteringStandby", "Standby", "Detaching"} | ENDED
    for passage in PASSAGES:
        entered |= {passage.first, passage.state}
        if passage.transition:
            entered |= {passage.waiting, passage.proceeding}
        if passage.transition.endswith("TERMINATING") and passage.action == "Terminate":
            entered.add(passage.retained)
    assert entered | NOT_ENTERED == set(states())


def test_the_sets_of_states_are_of_the_api() -> None:
    for some in (COUNTED, READY, PREPARED, ENDED):
        assert some <= set(states())


def test_a_passage_is_reported_in_the_words_of_the_user_guide() -> None:
    reported = {
        (each.waiting, each.transition.rpartition("_")[2], each.origin, each.destination, each.action)
        for each in PASSAGES
        if each.transition
    }
    assert reported == {
        ("Warmed:Pending:Wait", "LAUNCHING", "EC2", "WarmPool", "Launch"),
        ("Pending:Wait", "LAUNCHING", "WarmPool", "AutoScalingGroup", "Launch"),
        ("Pending:Wait", "LAUNCHING", "EC2", "AutoScalingGroup", "Launch"),
        ("Warmed:Pending:Wait", "TERMINATING", "AutoScalingGroup", "WarmPool", "Terminate"),
        ("Terminating:Wait", "TERMINATING", "AutoScalingGroup", "EC2", "Terminate"),
        ("Warmed:Terminating:Wait", "TERMINATING", "WarmPool", "EC2", "Terminate"),
        ("ReplacingRootVolume:Wait", "TERMINATING", "AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume"),
        ("Pending:Wait", "LAUNCHING", "AutoScalingGroup", "AutoScalingGroup", "ReplaceRootVolume"),
    }
