"""Text from outside on its way into Tower: from tags to the host that a playbook reads."""

from __future__ import annotations

from collections.abc import Callable

from lab.cloud import Cloud, Group, eventually
from lab.tower.embedded import Tower

type MakeGroup = Callable[..., Group]

OVERRIDE = '#jinja2:variable_start_string:"[%"\n[% lookup("pipe", "id") %]'
TAGS = {"owner": 'it\'s "us" & $them', "__ansible_vault": "x", "motd": OVERRIDE, "note": "{{ x }}"}
REASONS = {
    "__ansible_vault (Ansible would read it as something else)",
    "motd (Tower would evaluate it)",
    "note (Tower would evaluate it)",
}


def test_a_tag_that_would_be_more_than_text_is_left_out_and_named_once(
    make_group: MakeGroup, cloud: Cloud, tower: Tower, name: str
) -> None:
    group = make_group()
    about = {"ResourceId": group.name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
    tags = [{**about, "Key": key, "Value": text} for key, text in TAGS.items()]
    cloud.aws.client("autoscaling").create_or_update_tags(Tags=tags)
    group.scale(1)
    (instance_id,) = eventually(group.in_service, "in service")
    (host,) = tower.hosts(name)
    assert {key: text for key, text in host.variables["ec2"]["tags"].items() if key in TAGS} == {"owner": TAGS["owner"]}
    lines = [line for line in cloud.log_lines("register") if line.get("instance_id") == instance_id]
    assert [set(line["tags_left_out"]) for line in lines if "tags_left_out" in line] == [REASONS]
    assert cloud.reconcile(groups=[group.name])["findings"] == []
    tower.remove_host(instance_id, name)
    (finding,) = cloud.reconcile(groups=[group.name])["findings"]
    assert (finding["kind"], finding["subject"]) == ("tags", instance_id)
    assert all(each in finding["reason"] for each in REASONS)
    again = cloud.reconcile(groups=[group.name])
    assert (again["findings"], again["steps"]) == ([], [])
