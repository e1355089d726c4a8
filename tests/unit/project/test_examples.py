"""The examples: the group is what the pages say of it, and the file with answers for sam is one that deploys."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from rollcall.checks.registry import read_group_settings
from rollcall.domain.groups import Group

REPOSITORY = Path(__file__).parents[3]
EXAMPLES = REPOSITORY / "examples"
TEMPLATE: dict[str, Any] = yaml_parse((REPOSITORY / "template.yaml").read_text())
WEB: dict[str, Any] = yaml_parse((EXAMPLES / "web-asg.yaml").read_text())
OWN = WEB["Resources"]["Group"]["Properties"]


def resources(kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in WEB["Resources"].items() if each["Type"] == kind}


def test_the_group_is_on_a_launch_template_and_both_hooks_are_there_before_its_first_instance() -> None:
    assert OWN["LaunchTemplate"]["LaunchTemplateId"] == {"Ref": "LaunchTemplate"}
    hooks = {each["LifecycleTransition"]: each for each in OWN["LifecycleHookSpecificationList"]}
    assert {transition: each["DefaultResult"] for transition, each in hooks.items()} == {
        "autoscaling:EC2_INSTANCE_LAUNCHING": "ABANDON",
        "autoscaling:EC2_INSTANCE_TERMINATING": "CONTINUE",
    }
    for each in hooks.values():
        assert each["LifecycleHookName"]["Fn::Sub"].startswith("${HookPrefix}-")
        assert each["HeartbeatTimeout"] == 600
    assert WEB["Parameters"]["HookPrefix"]["Default"] == TEMPLATE["Parameters"]["HookPrefix"]["Default"]


def test_its_tags_are_ones_that_rollcall_reads() -> None:
    assert not any(each["PropagateAtLaunch"] for each in OWN["Tags"])
    tags = {each["Key"]: each["Value"] if isinstance(each["Value"], str) else "given" for each in OWN["Tags"]}
    settings = read_group_settings(Group("web", tags, {}))
    assert settings
    assert (settings.inventory, settings.job_template) == ("given", "given")


def test_it_scales_by_one_above_50_and_below_20_percent_of_cpu_with_a_pause_after_each() -> None:
    policies = resources("AWS::AutoScaling::ScalingPolicy")
    found = {}
    for alarm in resources("AWS::CloudWatch::Alarm").values():
        assert alarm["MetricName"] == "CPUUtilization"
        assert alarm["Dimensions"] == [{"Name": "AutoScalingGroupName", "Value": {"Ref": "Group"}}]
        [action] = alarm["AlarmActions"]
        policy = policies[action["Ref"]]
        assert policy["PolicyType"] == "SimpleScaling"  # of Auto Scaling's policies the only one with a cooldown
        assert f"{alarm['Threshold']} % CPU" in alarm["AlarmDescription"]
        found[alarm["ComparisonOperator"], alarm["Threshold"]] = policy["ScalingAdjustment"], policy["Cooldown"]
    assert found == {("GreaterThanThreshold", 50): (1, "180"), ("LessThanThreshold", 20): (-1, "300")}


def test_an_empty_answer_to_what_is_required_is_refused_in_words_that_say_so() -> None:
    required = {name: each for name, each in TEMPLATE["Parameters"].items() if "Default" not in each}
    assert required.keys() == {"TowerUrl", "TowerSecretArn"}
    for each in required.values():
        assert not re.fullmatch(each["AllowedPattern"], "")  # sam deploy --guided sends "" for Enter
        assert each["ConstraintDescription"].endswith("It is required.")


def test_the_file_with_answers_deploys_what_the_other_one_does_and_names_parameters_that_there_are() -> None:
    own = tomllib.loads((EXAMPLES / "samconfig.local.toml").read_text())
    other = tomllib.loads((REPOSITORY / "samconfig.toml").read_text())
    given = own["default"]["deploy"]["parameters"].pop("parameter_overrides")
    assert own["default"]["deploy"] == other["default"]["deploy"]
    assert own["default"]["global"] == other["default"]["global"]
    values = dict(each.split("=", 1) for each in given)
    for name in ("TowerUrl", "TowerSecretArn"):
        assert re.fullmatch(TEMPLATE["Parameters"][name]["AllowedPattern"], values[name])
    lines = re.findall(r'^ +(?:# )?"(\w+)=', (EXAMPLES / "samconfig.local.toml").read_text(), re.MULTILINE)
    assert len(lines) > len(values)
    assert set(lines) <= TEMPLATE["Parameters"].keys()
    assert "/samconfig.local.toml" in (REPOSITORY / ".gitignore").read_text().splitlines()


# The cleaning role of bakes

CLEANING = EXAMPLES / "clean_image"
OF_ONE_MACHINE = (  # that the role removes, or empties
    *("etc/machine-id", "var/lib/dbus/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"),
    *("var/lib/cloud/instances/i-0a/sem/config_ssh", "var/lib/cloud/sem/config_scripts", "etc/chef/client.pem"),
    *("var/log/messages", "var/log/secure-20261120", "var/log/journal/0a/system.journal", "root/.bash_history"),
    *("home/ec2-user/.ssh/known_hosts", "var/lib/systemd/random-seed", "etc/chef/validation.pem"),
    *("var/lib/dhcp/dhclient.leases", "var/lib/amazon/ssm/registration"),
)
OF_THE_IMAGE = (
    *("etc/ssh/sshd_config", "etc/chef/client.rb", "etc/chef/ohai/hints/ec2.json", "etc/cloud/cloud.cfg"),
    *("home/ec2-user/app.conf", "home/deploy/.ssh/authorized_keys"),
)


def clean(root: Path, pair_key: str = "") -> None:
    """Run the role's script on a directory. pair_key: what the metadata service of EC2 says; empty for no key pair."""
    beside = root.parent / f"{root.name}-bin"
    beside.mkdir(exist_ok=True)
    curl = beside / "curl"
    answer = f'case "$*" in *openssh-key) echo "{pair_key}" ;; *) echo token ;; esac' if pair_key else "exit 22"
    curl.write_text(f"#!/bin/sh\n{answer}\n")
    curl.chmod(0o755)
    script = CLEANING / "files" / "clean-image.sh"
    path = {"PATH": f"{beside}:/usr/bin:/bin"}
    subprocess.run(["sh", str(script), str(root)], check=True, timeout=60, env=path)


def test_keys_that_let_users_in_stay_but_for_that_of_the_builders_key_pair(tmp_path: Path) -> None:
    pair, own = "ssh-ed25519 AAAAC3pair builder", "ssh-rsa AAAAB3own deploy"
    keys = {
        tmp_path / "root" / ".ssh" / "authorized_keys": f'no-pty,command="echo no" {pair}\n',
        tmp_path / "home" / "ec2-user" / ".ssh" / "authorized_keys": f"{own}\n{pair}\n",
        tmp_path / "home" / "deploy" / ".ssh" / "authorized_keys": f"{own}\n",
    }
    (tmp_path / "etc" / "ssh").mkdir(parents=True)
    for path, text in keys.items():
        path.parent.mkdir(parents=True)
        path.write_text(text)
        path.chmod(0o600)
    clean(tmp_path, pair)
    assert [path.read_text() for path in keys] == ["", f"{own}\n", f"{own}\n"]
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_the_cleaning_role_leaves_nothing_of_the_machine_and_all_of_the_image(tmp_path: Path) -> None:
    for name in (*OF_ONE_MACHINE, *OF_THE_IMAGE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of the builder")
    for _ in range(2):  # a job may run again
        clean(tmp_path)
    left = {str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file() and each.read_text()}
    assert left == set(OF_THE_IMAGE)
    assert (tmp_path / "etc" / "machine-id").exists(), "one that is missing is not filled at the first boot"


def test_the_random_seed_is_not_saved_as_the_builder_is_stopped_where_systemd_runs(tmp_path: Path) -> None:
    (tmp_path / "etc" / "ssh").mkdir(parents=True)
    clean(tmp_path)
    assert not (tmp_path / "run").exists()
    units = tmp_path / "run" / "systemd" / "system"
    units.mkdir(parents=True)
    clean(tmp_path)
    [drop_in] = (units / "systemd-random-seed.service.d").iterdir()
    assert drop_in.read_text() == "[Service]\nExecStop=\n"


def test_the_role_is_the_last_thing_in_the_playbook_of_a_bake() -> None:
    [play] = yaml.safe_load((EXAMPLES / "bake.yml").read_text())
    assert play["post_tasks"][-1]["ansible.builtin.include_role"] == {"name": CLEANING.name}
    [task] = yaml.safe_load((CLEANING / "tasks" / "main.yml").read_text())
    assert task["ansible.builtin.script"]["cmd"] == "clean-image.sh"
    assert task["become"] is True
