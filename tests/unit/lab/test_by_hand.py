"""Functions by hand: samples filled with what is so in the lab, and what `sam local invoke` is given."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from lab.by_hand.container import address_in, in_the_container, of_the_function, sam_command, template_for
from lab.by_hand.lab import LabBusy, Record, running
from lab.by_hand.samples import LAUNCHED_AT, NOW, TOKENS, Facts, filled
from lab.by_hand.scenes import SAMPLES, SAMPLES_DIRECTORY, sample_of
from lab.clock import StillClock
from lab.cloud import ARCHITECTURE
from lab.tower.embedded import Tower
from rollcall_cli.commands.invoke import FUNCTIONS
from rollcall_cli.invocation.events import SAMPLE_INSTANCE, values

if TYPE_CHECKING:
    from pathlib import Path

LATER = 86400.0 * 365  # seconds
FACTS = Facts(
    "other",
    "i-0aaaaaaaaaaaaaaaa",
    "00000000-0000-0000-0000-000000000000",
    "10.9.9.9",
    7,
    NOW + LATER - 3,
    NOW + LATER - 2,
)


def sample(name: str) -> Any:
    return json.loads((SAMPLES_DIRECTORY / name).read_text())


def test_every_sample_is_known_and_every_function_is_one_of_the_stack() -> None:
    assert {path.name for path in SAMPLES_DIRECTORY.glob("*.json")} == SAMPLES.keys()
    assert {each for one in SAMPLES.values() for each in one.functions} == set(FUNCTIONS)


def test_a_file_elsewhere_is_no_sample(tmp_path: Path) -> None:
    assert sample_of(SAMPLES_DIRECTORY / "gate.json") is SAMPLES["gate.json"]
    assert sample_of(tmp_path / "gate.json") is None


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_of_the_samples_own_is_left_where_the_lab_has_something(name: str) -> None:
    text = json.dumps(filled(sample(name), FACTS, NOW + LATER))
    assert SAMPLE_INSTANCE not in text
    assert not any(token in text for token in TOKENS)
    assert not re.search(r"2026-11|\bweb\b|17952[0-9]{5}", text)


def test_the_gates_message_is_about_the_instance_in_the_lab() -> None:
    (record,) = filled(sample("gate.json"), FACTS, NOW + LATER)["Records"]
    body = json.loads(record["body"])
    (waiting,) = body["waiting"]
    action = waiting["action"]
    assert (action["group"], action["instance_id"], action["token"]) == (FACTS.group, FACTS.instance_id, FACTS.token)
    assert (waiting["address"], waiting["launched_at"]) == (FACTS.address, FACTS.launched_at)
    assert (body["job_id"], body["since"], body["heartbeat_at"]) == (FACTS.job, FACTS.since, 0.0)
    assert int(record["attributes"]["SentTimestamp"]) == 1795255200000 + LATER * 1000


def test_times_move_together_and_what_the_lab_has_not_stays() -> None:
    before, after = (
        dict(values(event)) for event in (sample("gate.json"), filled(sample("gate.json"), Facts(), NOW + 1))
    )
    assert after["launched_at"] == LAUNCHED_AT + 1
    assert {name for name in before if before[name] != after[name]} == {
        *("launched_at", "since", "SentTimestamp", "ApproximateFirstReceiveTimestamp")
    }


def test_a_written_moment_keeps_its_form() -> None:
    body = json.dumps(filled(sample("launch-hook-sqs.json"), Facts(), NOW + LATER))
    assert "2027-11-21T10:00:00.000Z" in body
    alarm = json.dumps(filled(sample("alert-alarm.json"), Facts(), NOW + 60))
    assert "2026-11-21T10:02:07.000+0000" in alarm


# sam local invoke


def test_a_template_declares_what_the_function_gets_and_this_machines_architecture(tmp_path: Path) -> None:
    template = template_for("GateFunction", tmp_path / "built", ["CommonLayer"], {"QUEUE_URL": "http://172.17.0.1:1/q"})
    properties = template["Resources"]["GateFunction"]["Properties"]
    assert properties["Environment"]["Variables"] == {"QUEUE_URL": "http://172.17.0.1:1/q"}
    assert properties["Architectures"] == [ARCHITECTURE]
    assert properties["CodeUri"] == str(tmp_path / "built" / "GateFunction")
    assert [template["Resources"][each["Ref"]]["Type"] for each in properties["Layers"]] == [
        "AWS::Serverless::LayerVersion"
    ]


def test_queues_lead_out_of_the_container_and_nothing_else_changes() -> None:
    given = {
        "QUEUE_URL": "http://127.0.0.1:4566/123456789012/gate",
        "OTHER_URL": "http://localhost:4566/123456789012/launch",
        "TOWER_URL": "http://127.0.0.1:45661/",
        "HOOK_PREFIX": "rollcall",
    }
    assert in_the_container(given, "http://127.0.0.1:4566", "http://172.17.0.1:9") == given | {
        "QUEUE_URL": "http://172.17.0.1:9/123456789012/gate",
        "OTHER_URL": "http://172.17.0.1:9/123456789012/launch",
    }


@pytest.mark.parametrize("here", [True, False])
def test_an_image_that_is_here_is_not_pulled(tmp_path: Path, here: bool) -> None:
    assert ("--skip-pull-image" in sam_command("GateFunction", tmp_path, skip_pull=here)) == here


@pytest.mark.parametrize("start", ["START RequestId: 1\n", ""])
def test_only_what_the_function_logged_is_taken(start: str) -> None:
    said = f"Invoking app.handler\nSAM_CONTAINER_ID: 1\n{start}line\nEND RequestId: 1\nREPORT\n[ERROR] no endpoint"
    assert of_the_function(said) == f"{start}line\n"
    assert of_the_function("no container") == "no container"


def test_a_network_that_does_not_say_our_address_begins_with_it() -> None:
    assert address_in({"Subnet": "172.17.0.0/16"}) == "172.17.0.1"
    assert address_in({"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.9"}) == "172.17.0.9"


# The lab that runs


def test_its_banner_names_what_bakes_need_what_fails_and_where_alerts_can_be_read(tmp_path: Path) -> None:
    from lab.by_hand.stay import how_to_use

    words = how_to_use(Record(1, "http://a", "http://b", "http://c/alerts"), tmp_path)
    assert "in inventory builders, by job template bake\n" in words
    assert "the jobs of provision-fails and bake-fails fail\n" in words
    assert "curl http://c/alerts\n" in words


def test_jobs_of_its_failing_templates_fail_wherever_they_run() -> None:
    from lab.by_hand.scenes import furnish

    clock = StillClock()
    tower = Tower(boot_time=0, job_time=1.0, clock=clock)
    furnish(tower)
    tower.add_host("builders", "i-builder")
    tower.add_host("fleet", "i-new")
    ended = {}
    for template in ("bake", "bake-fails", "provision-fails"):
        job = tower.run_playbook(template, "all")
        clock.now += 60
        ended[template] = next(each.status for each in tower.jobs() if each.id == job.id)
    assert ended == {"bake": "successful", "bake-fails": "failed", "provision-fails": "failed"}


def test_a_lab_runs_as_long_as_its_process_holds_it(tmp_path: Path) -> None:
    from lab.by_hand import lab

    assert running(tmp_path) is None
    with lab._lock(tmp_path) or pytest.fail("nothing held it"):
        with pytest.raises(LabBusy, match="being set up"):
            running(tmp_path)
        (tmp_path / "lab.json").write_text('{"process": 1, "endpoint_url": "http://a", "tower_url": "http://b"}')
        assert running(tmp_path) == Record(1, "http://a", "http://b")
    assert running(tmp_path) is None
