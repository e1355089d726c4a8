"""What `make reconcile` tells a person, and the exit codes that other programs go by."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from collections.abc import Callable

import pytest

from lab.cloud import ACCOUNT, STACK, Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]
type PublishedEvent = subprocess.CompletedProcess[str]

TERMINATED = "EC2 Instance Terminate Successful"


def reconcile(cloud: Cloud, *options: str, **environment: str) -> PublishedEvent:
    return cloud.rollcall("reconcile", *options, **environment)


@pytest.fixture
def group(make_group: MakeGroup) -> Group:
    """A group of eight that serve and have no host yet."""
    group = make_group(hooks=False, job_template=None, size=8)
    eventually(lambda: len(group.in_service()) == 8, "eight in service")
    return group


@pytest.mark.story
def test_a_dry_run_tells_what_would_be_done_and_why_and_a_run_what_was_done(
    group: Group, cloud: Cloud, tower: Tower, name: str
) -> None:
    planned = reconcile(cloud, "--dry-run")
    assert planned.returncode == 0
    assert "nothing was changed" in planned.stdout
    assert "8 would be done" in planned.stdout
    assert f"{name}: add (8): it serves in group '{group.name}' and has no host" in planned.stdout
    assert all(instance_id in planned.stdout for instance_id in group.states())
    assert tower.hosts(name) == []

    done = reconcile(cloud)
    assert done.returncode == 0
    assert f"{name}: added (8): it serves in group" in done.stdout
    assert {host.name for host in tower.hosts(name)} == group.in_service()

    again = reconcile(cloud)
    assert again.returncode == 0
    assert "Tower and EC2 agree." in again.stdout
    assert not any(each.stderr for each in (planned, done, again))


def test_of_a_long_list_a_part_is_shown_unless_all_is_asked_for(group: Group, cloud: Cloud) -> None:
    group.scale(60)
    eventually(lambda: len(group.in_service()) == 60, "sixty in service")
    short, whole = reconcile(cloud, "--dry-run"), reconcile(cloud, "--dry-run", "--all")
    assert sum(instance_id in short.stdout for instance_id in group.states()) == 50
    assert "and 10 more" in short.stdout
    assert all(instance_id in whole.stdout for instance_id in group.states())


def test_the_removal_limit_is_a_failure_that_says_why_and_lists_the_hosts_and_force_overrides_it(
    group: Group, cloud: Cloud, tower: Tower, name: str
) -> None:
    cloud.reconcile()
    cloud.aws.drop_events(TERMINATED)
    group.scale(1)
    eventually(lambda: len(group.states()) == 1, "seven are gone")
    gone = {host.name for host in tower.hosts(name)} - group.states().keys()
    for options in ((), ("--dry-run",)):
        stopped = reconcile(cloud, *options)
        assert stopped.returncode == 1
        assert "7 NOT removed, for the removal limit stopped it" in stopped.stdout
        assert f"rollcall reconcile --force --group {group.name}" in stopped.stdout
        assert f"{name}: remove (7): EC2 says that it is terminated" in stopped.stdout
        assert all(instance_id in stopped.stdout for instance_id in gone)
    assert {host.name for host in tower.hosts(name)} >= gone
    forced = reconcile(cloud, "--force")
    assert forced.returncode == 0
    assert f"{name}: removed (7)" in forced.stdout
    assert {host.name for host in tower.hosts(name)} == group.in_service()


def test_what_cannot_be_read_of_a_group_is_a_failure_that_names_it(
    group: Group, cloud: Cloud, tower: Tower, name: str
) -> None:
    group.tag({"inventory": "nowhere"})
    failed = reconcile(cloud)
    assert failed.returncode == 1
    assert "1 FAILED" in failed.stdout
    assert f"group {group.name}" in failed.stdout
    assert "Tower has no inventory 'nowhere'" in failed.stdout


def test_another_groups_mistake_is_no_failure_of_a_run_for_a_group_or_an_instance(
    make_group: MakeGroup, cloud: Cloud
) -> None:
    right, wrong = (make_group(suffix, hooks=False, job_template=None, size=1) for suffix in ("-right", "-wrong"))
    eventually(lambda: right.in_service() and wrong.in_service(), "both serve")
    wrong.tag({"inventory": "nowhere"})
    [instance_id] = right.in_service()
    for options in (("--group", right.name), ("--instance", instance_id)):
        planned = reconcile(cloud, "--dry-run", *options)
        assert planned.returncode == 0
        assert "1 would be done" in planned.stdout
        assert wrong.name not in planned.stdout
    assert reconcile(cloud, "--dry-run", "--group", wrong.name).returncode == 1


def test_a_run_that_launches_a_job_says_which(make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str) -> None:
    group = make_group(hooks=False, inventory=None, job_template=None, size=1)
    [instance_id] = eventually(group.in_service, "in service")
    group.tag({"inventory": name, "job-template": name})
    planned = reconcile(cloud, "--dry-run", "--provision")
    assert f"{name}: add and provision {instance_id}: it serves in group '{group.name}'" in planned.stdout
    done = reconcile(cloud, "--provision")
    [job] = tower.jobs(name)
    assert f"{name}: added and provisioned by job {job.id} {instance_id}: it serves in group" in done.stdout


def test_the_options_are_what_the_function_is_asked_for(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    one, other = (make_group(suffix, hooks=False, job_template=None, size=1) for suffix in ("-one", "-other"))
    eventually(lambda: one.in_service() and other.in_service(), "both serve")
    told = reconcile(cloud, "--group", one.name, "--json")
    assert told.returncode == 0
    assert {each["instance_id"] for each in json.loads(told.stdout)["steps"]} == one.in_service()
    one.tag({"inventory": None})
    assert reconcile(cloud, "--forget", one.name).returncode == 0
    assert {host.name for host in tower.hosts(name)} == other.in_service()


def test_certain_instances_are_asked_for_and_answered_for(group: Group, cloud: Cloud, tower: Tower, name: str) -> None:
    one, other, *_ = sorted(group.in_service())
    told = reconcile(cloud, "--instance", one, "--instance", other, "--instance", "i-0000000000000dead")
    assert told.returncode == 0
    assert f"{one}: added: it serves in group '{group.name}' and has no host" in told.stdout
    assert "i-0000000000000dead: nothing to do: no group of ours has it, and no host is for it" in told.stdout
    assert {host.name for host in tower.hosts(name)} == {one, other}
    wrong = reconcile(cloud, "--instance", "web")
    assert wrong.returncode == 2
    assert "field 'instances' holds 'web': an instance id is i-" in wrong.stderr


def test_what_cannot_be_run_is_reported_with_its_remedy(cloud: Cloud) -> None:
    for told, words, remedy in (
        (reconcile(cloud, "--stack", "no-such-stack"), "There is no stack no-such-stack", "--stack"),
        (reconcile(cloud, AWS_ENDPOINT_URL="http://127.0.0.1:9"), "AWS cannot be reached for resource", "--region"),
    ):
        assert (told.returncode, told.stdout) == (2, "")
        assert told.stderr.startswith(words)
        assert remedy in told.stderr


def test_a_run_that_ends_in_an_error_is_reported_with_the_error(make_group: MakeGroup, cloud: Cloud) -> None:
    cloud.aws.deny("autoscaling:DescribeAutoScalingGroups")
    told = reconcile(cloud)
    assert (told.returncode, told.stdout) == (2, "")
    assert "Reconcile ended in an error" in told.stderr
    assert "AWS refused DescribeAutoScalingGroups" in told.stderr
    assert "rollcall doctor says what is wrong" in told.stderr


@pytest.mark.parametrize("answer", ["None", "[]", "{'failed': False}"])
def test_an_answer_that_is_not_reconciles_is_no_all_clear(cloud: Cloud, answer: str) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", f"def handler(event, context):\n    return {answer}\n")
    function = f"not-reconcile-{len(answer)}"
    stranger = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": function,
            "Runtime": "python3.13",
            "Handler": "app.handler",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/any",
            "Code": {"ZipFile": "def handler(event, context): ..."},
        },
    }
    template = json.dumps({"Resources": {"ReconcileFunction": stranger}})
    cloud.aws.client("cloudformation").create_stack(StackName=function, TemplateBody=template)
    eventually(lambda: status(cloud, function) == "CREATE_COMPLETE", "the other stack is there")
    cloud.aws.client("lambda").update_function_code(FunctionName=function, ZipFile=code.getvalue())
    told = reconcile(cloud, "--stack", function)
    assert (told.returncode, told.stdout) == (2, "")
    assert f"ReconcileFunction of stack {function} does not answer as it should" in told.stderr


def status(cloud: Cloud, stack: str) -> str:
    (found,) = cloud.aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
    return str(found["StackStatus"])


def test_make_reconcile_passes_on_what_it_is_asked_for(group: Group, cloud: Cloud, tower: Tower, name: str) -> None:
    told = cloud.make("reconcile", f"--dry-run --group {group.name}")
    assert (told.returncode, told.stderr) == (0, "")
    assert "8 would be done" in told.stdout
    assert tower.hosts(name) == []


def test_what_a_finding_says_to_type_does_it_whatever_the_group_is_called(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group('-it\'s "two words" $HOME `id` #1 \\', size=2)
    eventually(lambda: len(group.in_service()) == 2, "in service")
    assert {host.groups for host in tower.hosts(name)} == {(group.name,)}
    group.tag({"inventory": None})
    told = reconcile(cloud, "--group", group.name)
    command = told.stdout.partition(f"or remove the hosts of {group.name!r}: ")[2].partition(" (event ")[0]
    assert command.startswith("rollcall reconcile ")
    done = cloud.run(["bash", "-c", command], ROLLCALL_STACK=STACK)
    assert (done.returncode, done.stderr) == (0, "")
    assert tower.hosts(name) == []
