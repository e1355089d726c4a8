"""Pre-flight of a bake: all that speaks against it at once, each with its remedy; and what it will do."""

from __future__ import annotations

from copy import replace
from typing import TYPE_CHECKING, Any

import pytest

from rollcall.aws.encryption_keys import MISSING, KeyFacts
from rollcall.aws.images import Image
from rollcall.aws.launch_surroundings import Subnet
from rollcall.aws.launch_templates import LaunchRefusal, Template
from rollcall.aws.template_users import TemplateUser
from rollcall.bake.due import Baked
from rollcall.bake.preflight import Preflight
from rollcall.bake.roll_out_preflight import RollOutPreflight
from rollcall.domain.errors import AwsDenied, TowerDenied, TowerUnavailable
from rollcall.domain.jobs import LaunchTerms
from rollcall.domain.objections import Objection
from unit.fakes import ACCOUNT, REGION

from .bake_world import BASE, BakeWorld

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"
OTHER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/2"
OTHER_ACCOUNT = "210987654321"
FOREIGN_KEY = f"arn:aws:kms:{REGION}:{OTHER_ACCOUNT}:key/1"
ROOT = {"Effect": "Allow", "Action": "kms:*", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRole"


def image(image_id: str = BASE, **changes: Any) -> Image:
    fields = {
        "name": "al2023",
        "architecture": "x86_64",
        "owner": "137112412989",
        "owner_alias": "amazon",
        "root_device": "/dev/xvda",
        "mappings": ({"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8}},),
    }
    return Image(image_id, **(fields | changes))


def world(**request: Any) -> BakeWorld:
    return BakeWorld(image(), **request)


def judged(bake: BakeWorld) -> Preflight:
    return bake.observer().preflight(bake.request, "this one")


def objections(bake: BakeWorld) -> set[str]:
    return {each.what for each in judged(bake).objections}


def test_where_nothing_speaks_against_it_the_plan_says_what_begins() -> None:
    found = judged(world())
    assert (found.objections, found.warnings) == ((), ())
    plan = found.plan
    assert plan
    assert (plan.base.id, plan.from_version, plan.subnet, plan.instance_type) == (BASE, "1", "subnet-1", "m7i.large")
    assert (plan.inventory, plan.job_template_name, plan.project_revision) == ("builders", "bake", "c0ffee")
    assert plan.nothing_new == ""


@pytest.mark.parametrize(
    ("tag", "words"),
    [("every=daily-03:00", "03:00 UTC"), ("", ""), ("weekly", "")],
    ids=["daily", "none", "unreadable"],
)
def test_the_plan_says_when_the_next_bake_is_due_by_schedule(tag: str, words: str) -> None:
    bake = world()
    bake.group(bake=tag)
    plan = judged(bake).plan
    assert plan
    said = plan.to_json()["next_by_schedule"]
    assert said.endswith(words)
    assert bool(said) is bool(words)


def test_a_group_without_subnets_is_given_some_by_a_command() -> None:
    bake = world()
    bake.aws.groups["web"] = bake.aws.groups["web"]._replace(subnets=())
    [found] = [each for each in judged(bake).objections if each.what == "no subnets"]
    assert found.remedy == (
        "give it subnets: aws autoscaling update-auto-scaling-group --auto-scaling-group-name web "
        "--vpc-zone-identifier SUBNETS"
    )


def test_input_that_is_none_is_the_only_objection() -> None:
    found = world(bese_image=BASE).observer().preflight({"group": "web", "bese_image": BASE}, "this one")
    assert found.request is None
    assert [each.what for each in found.objections] == ["input"]


def test_a_group_that_is_not_there_is_the_only_objection() -> None:
    bake = world()
    bake.request["group"] = "wbe"
    assert objections(bake) == {"no group"}


def against(bake: BakeWorld, what: str) -> tuple[str, str]:
    """The reason and the remedy of an objection, which is the only one."""
    found = judged(bake).objections
    assert [each.what for each in found] == [what]
    return found[0].reason, found[0].remedy


@pytest.mark.parametrize(
    ("roll_out", "words"),
    [(True, "a roll-out is refused as long as it does"), (False, "it may change the group's version")],
)
def test_a_cycle_of_the_group_that_goes_on_is_a_warning(*, roll_out: bool, words: str) -> None:
    bake = world(roll_out=roll_out)
    bake.cycles = ["web-1234abcd-v8"]
    found = judged(bake)
    assert (found.objections, found.warnings) == ((), (f"cycle web-1234abcd-v8 of this group goes on: {words}",))


def test_what_the_cycle_objects_to_is_said_before_there_is_an_image_and_marked_as_the_roll_outs() -> None:
    bake = world()
    bake.roll_out = RollOutPreflight(
        (Objection("pinned", "cycle web-0 has pinned it", "wait for that cycle"),), ("its warm pool is replaced, too",)
    )
    found = judged(bake)
    assert found.objections == (
        Objection(
            "roll-out: pinned",
            "its roll-out would be refused: cycle web-0 has pinned it",
            "wait for that cycle; or bake with --no-roll-out (tag: roll-out=false), and roll it out another way",
        ),
    )
    assert found.warnings == ("roll-out: its warm pool is replaced, too",)


def test_what_both_object_to_is_said_once() -> None:
    bake = world()
    _another_bake_runs(bake)
    _subnet_is_gone(bake)
    own = judged(bake).objections
    assert {each.what for each in own} == {"bake running", "subnets"}
    bake.roll_out = RollOutPreflight(tuple(each._replace(remedy="as a cycle says it") for each in own))
    assert judged(bake).objections == own


@pytest.mark.parametrize("without", ["roll-out", "cycles"])
def test_without_a_cycle_none_is_asked(without: str) -> None:
    bake = world(roll_out=without == "cycles")
    if without == "cycles":
        _without_cycles(bake)
    bake.roll_out = RollOutPreflight((Objection("pinned", "cycle web-0 has pinned it", "wait"),), ("a warning",))
    found = judged(bake)
    assert {each.what for each in found.objections} == ({"no cycles"} if without == "cycles" else set())
    assert found.warnings == ()


def _on(bake: BakeWorld, version: str, *overrides: dict[str, Any]) -> None:
    """The group is on this version of its launch template, of which an alias stands for number 1."""
    template = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web", "Version": version}
    configuration: dict[str, Any] = {"LaunchTemplate": template}
    if overrides:
        policy = {"LaunchTemplateSpecification": template, "Overrides": list(overrides)}
        configuration = {"MixedInstancesPolicy": {"LaunchTemplate": policy}}
    bake.aws.groups["web"] = bake.aws.groups["web"]._replace(configuration=configuration)
    first = bake.aws.made_versions["1"]
    bake.aws.made_versions |= {"$Latest": first, "$Default": first}
    bake.aws.version = lambda template, version: bake.aws.made_versions.get(version)  # type: ignore[method-assign]


@pytest.mark.parametrize("request_", [{}, {"pin": True}, {"roll_out": False}])
def test_a_group_on_the_newest_version_would_launch_an_image_whatever_its_roll_out_comes_to(
    request_: dict[str, Any],
) -> None:
    """Also where its cycle sets a number first: it begins after the version is there, and may be refused."""
    bake = world(**request_)
    _on(bake, "$Latest")
    assert against(bake, "on $Latest")[1] == (
        "set it to the number that $Latest stands for: aws autoscaling update-auto-scaling-group "
        """--auto-scaling-group-name web --launch-template '{"LaunchTemplateId": "lt-1", "Version": "1"}'"""
    )


def test_a_mixed_policy_is_set_to_a_number_with_all_its_overrides() -> None:
    bake = world()
    _on(bake, "$Latest", {"InstanceType": "m7i.large"})
    assert against(bake, "on $Latest")[1].endswith(
        """ --mixed-instances-policy '{"LaunchTemplate": {"LaunchTemplateSpecification": """
        """{"LaunchTemplateId": "lt-1", "Version": "1"}, "Overrides": [{"InstanceType": "m7i.large"}]}}'"""
    )


@pytest.mark.parametrize("version", ["$Default", "1"])
def test_a_group_on_the_default_or_on_a_number_launches_no_image_before_it_is_rolled_out(version: str) -> None:
    bake = world()
    _on(bake, version)
    assert objections(bake) == set()


FLEET, API = "the fleet fleet-1", "the group api"


@pytest.mark.parametrize("roll_out", [True, False])
def test_what_else_is_on_the_newest_version_of_the_template_would_launch_an_image_before_it_is_rolled_out(
    *, roll_out: bool
) -> None:
    bake = world(roll_out=roll_out)
    bake.aws.others = [TemplateUser(FLEET, "$Latest"), TemplateUser(API, "$Latest"), TemplateUser(API, "1")]
    reason, remedy = against(bake, "others on $Latest")
    assert reason.startswith(f"{FLEET}, {API} would launch the image before it is rolled out, or when that failed")
    assert "launch template web" in reason
    assert remedy == "set each to a number of it, or give it a launch template of its own"


@pytest.mark.parametrize(
    ("own", "request_", "refused"),
    [
        ("$Default", {"pin": True}, True),
        ("$Default", {}, False),
        ("$Default", {"pin": True, "roll_out": False}, False),
        ("1", {"pin": True}, False),
    ],
)
def test_what_else_is_on_the_default_version_speaks_only_against_a_pin_that_moves_it(
    own: str, request_: dict[str, Any], *, refused: bool
) -> None:
    bake = world(**request_)
    _on(bake, own)
    bake.aws.others = [TemplateUser(API, "$Default")]
    assert objections(bake) == ({"others on $Default"} if refused else set())


def test_an_override_of_the_same_template_is_refused_by_its_alias_and_else_keeps_its_version() -> None:
    same = {"LaunchTemplateId": "lt-1", "LaunchTemplateName": "web"}
    arm = {"InstanceType": "c7g.large"}
    bake = world()
    own = {"InstanceType": "m7i.large"}
    _on(bake, "1", own, {**arm, "LaunchTemplateSpecification": {**same, "Version": "$Latest"}})
    assert against(bake, "others on $Latest")[0].startswith("the override for c7g.large would launch the image")
    assert judged(bake).warnings == ()
    _on(bake, "$Default", own, {**arm, "LaunchTemplateSpecification": same})
    kept = "the override for c7g.large keeps version $Default of launch template web: this bake is not for it"
    assert (objections(bake), judged(bake).warnings) == (set(), (kept,))
    bake.request["pin"] = True
    assert (objections(bake), judged(bake).warnings) == ({"others on $Default"}, ())
    _on(bake, "1", own, {**arm, "LaunchTemplateSpecification": {**same, "Version": "$Latest"}, "ImageId": "ami-arm"})
    assert objections(bake) == set()


def test_a_smoke_test_that_provisions_needs_the_groups_jobs_in_the_inventory_of_bakes() -> None:
    """Else it would fail after the image was made."""
    bake = world(smoke="provision")
    bake.group(retire_job_template="retire")
    bake.tower.add_template("retire")
    assert objections(bake) == set()
    for name in ("provision", "retire"):
        template = bake.tower.templates[name]
        bake.tower.templates[name] = replace(template, asks_inventory=False, inventory_id=1)
    assert [each[1:] for each in judged(bake).objections] == [
        (
            f"a smoke test that provisions runs job template '{name}' (tag rollcall:{tag}) in inventory 'builders', "
            "and it is fixed to inventory 1",
            "let it prompt for the inventory, or bake with --smoke boot (tag: smoke=boot)",
        )
        for name, tag in (("provision", "job-template"), ("retire", "retire-job-template"))
    ]
    bake.request["smoke"] = "boot"
    assert objections(bake) == set()


def test_a_retire_job_that_is_not_there_speaks_only_against_a_smoke_test_that_provisions() -> None:
    bake = world(smoke="provision")
    bake.group(retire_job_template="retire")
    reason, remedy = against(bake, "retire job template")
    assert "rollcall:retire-job-template names no template" in reason
    assert remedy == "correct the tag; or create it, or grant its role, or bake with --smoke boot (tag: smoke=boot)"


@pytest.mark.parametrize("named", ["in the input", "in the version"])
def test_a_parameter_that_may_not_be_read_is_an_objection_and_no_error_of_the_step(named: str) -> None:
    """The template permits AWS's own alone: a parameter of yours may hold a secret."""
    bake = world(**({"base_image": "ssm:/golden"} if named == "in the input" else {}))
    if named == "in the version":
        bake.version(ImageId="resolve:ssm:/golden")

    def denied(name: str) -> str:
        raise AwsDenied(f"GetParameters {name}")

    bake.aws.image_parameter = denied  # type: ignore[method-assign]
    reason, remedy = against(bake, "base image's parameter")
    assert "/golden" in reason
    assert "permit ssm:GetParameters on it, for by itself it may read only AWS's own" in remedy


@pytest.mark.parametrize(
    ("key", "tag", "option"),
    [
        ("job_template", "rollcall:bake-job-template", "--job-template"),
        ("inventory", "rollcall:bake-inventory", "--inventory"),
    ],
)
def test_what_names_nothing_is_corrected_where_it_was_named(key: str, tag: str, option: str) -> None:
    bake = world(**{key: "nosuch"})
    what = key.replace("_", " ")
    reason, remedy = against(bake, what)
    assert reason == f"{what} for bakes: Tower has no {what} 'nosuch' that the token can read"
    otherwise = "or create it, or grant its role"
    assert remedy == f"correct {option}, or leave it out where the tag {tag} names one; {otherwise}"
    bake = world()
    bake.group(**{f"bake_{key}": "nosuch"})
    assert against(bake, what)[1] == f"correct the tag {tag}; {otherwise}"


def test_of_an_inventory_that_is_a_groups_it_is_not_said_that_the_job_template_is_fixed_to_another() -> None:
    bake = world(inventory="prod")
    _template(asks_inventory=False, inventory_id=99)(bake)
    assert objections(bake) == {"a group's inventory"}


def test_a_builders_type_of_another_architecture_is_one_objection_with_a_type_that_fits() -> None:
    """EC2 refuses the dry run for the same reason."""
    bake = world(instance_type="m7i.large")
    _base(architecture="arm64")(bake)
    bake.version(InstanceType="c7g.large")
    bake.aws.refusal = LaunchRefusal("InvalidParameterValue", "the architecture 'x86_64' does not match 'arm64'")
    reason, remedy = against(bake, "builder's architecture")
    assert reason == f"base image {BASE} is arm64, and the builder's type m7i.large is not"
    assert "such as t4g.small, with --instance-type" in remedy
    bake.aws.refusal = DENIED
    assert objections(bake) == {"builder's architecture", "permission for the builder"}


# Each objection, by what is wrong


def _without_cycles(bake: BakeWorld) -> None:
    bake.bake = bake.bake._replace(cycles=False)


def _another_bake_runs(bake: BakeWorld) -> None:
    bake.running = ["this one", "web-1-now"]


def _no_launch_template(bake: BakeWorld) -> None:
    bake.aws.groups["web"] = bake.aws.groups["web"]._replace(configuration={})


def _no_version(bake: BakeWorld) -> None:
    bake.aws.made_versions.clear()


def _template_without_tag(bake: BakeWorld) -> None:
    bake.aws.templates["lt-1"] = Template("lt-1", "web", {})


def _base(**changes: Any) -> Callable[[BakeWorld], None]:
    def change(bake: BakeWorld) -> None:
        bake.aws.known[BASE] = image(**changes)

    return change


def _base_is_gone(bake: BakeWorld) -> None:
    bake.aws.known.clear()


def _parameter_names_nothing(bake: BakeWorld) -> None:
    bake.request["base_image"] = "ssm:/golden"


def _override_of_another_architecture(bake: BakeWorld) -> None:
    bake.overridden({"InstanceType": "m7i.large"}, {"InstanceType": "c7g.large"})


def _no_type(bake: BakeWorld) -> None:
    bake.version(InstanceType="")


def _unknown_type(bake: BakeWorld) -> None:
    bake.request["instance_type"] = "m9z.large"


def _subnet_is_gone(bake: BakeWorld) -> None:
    del bake.surroundings.known["subnet-2"]


def _no_address(bake: BakeWorld) -> None:
    bake.surroundings.known = {"subnet-1": Subnet("us-east-1a", 0), "subnet-2": Subnet("us-east-1b", 0)}


def _security_group_is_gone(bake: BakeWorld) -> None:
    bake.types.groups = frozenset()


def _refused(refusal: LaunchRefusal) -> Callable[[BakeWorld], None]:
    def change(bake: BakeWorld) -> None:
        bake.aws.refusal = refusal

    return change


def _template(**changes: Any) -> Callable[[BakeWorld], None]:
    def change(bake: BakeWorld) -> None:
        known = bake.tower.templates["bake"]
        bake.tower.templates["bake"] = known._replace(**changes)

    return change


def _terms(terms: LaunchTerms) -> Callable[[BakeWorld], None]:
    def change(bake: BakeWorld) -> None:
        bake.tower.terms = terms

    return change


def _tags(**tags: str) -> Callable[[BakeWorld], None]:
    return lambda bake: bake.group(**tags)


def _may_not_change(bake: BakeWorld) -> None:
    bake.tower.may_change = lambda inventory: False  # type: ignore[method-assign]


DENIED = LaunchRefusal("UnauthorizedOperation", "not authorized", "iam:PassRole", "arn:aws:iam::1:role/b")


@pytest.mark.parametrize(
    ("change", "what", "remedy"),
    [
        (_tags(bake="never"), "forbidden", "take the word out of rollcall:bake"),
        (_tags(bake="weekly"), "tags of bake", "written like 'every=sun-03:00@Europe/Berlin smoke=boot'"),
        (_another_bake_runs, "bake running", "it: rollcall bake --watch web, or cancel it: rollcall bake --cancel web"),
        (_without_cycles, "no cycles", "bake with --no-roll-out (tag: roll-out=false)"),
        (_no_version, "launch template", "give the group a version that is there"),
        (_template_without_tag, "template not allowed", "--resources lt-1 --tags Key=rollcall:bake,Value=true"),
        (_base(state="pending"), "base image", "name one that is available"),
        (_base(owner="999999999999", owner_alias=""), "base image's owner", "999999999999 among TrustedImageAccounts"),
        (_base(root_device="", mappings=()), "base image's root", "name one that has"),
        (_parameter_names_nothing, "base image", "with --base-image or the tag rollcall:bake-base"),
        (_override_of_another_architecture, "architecture", "a launch template of their own"),
        (_base(architecture="arm64"), "architecture", "name a base image of theirs"),
        (_no_type, "no instance type", "name one with --instance-type (tag: type=TYPE)"),
        (_unknown_type, "instance types", "correct the builder's"),
        (_subnet_is_gone, "subnets", "take them out"),
        (_no_address, "free addresses", "free some"),
        (_security_group_is_gone, "security groups", "correct its version"),
        (
            _refused(LaunchRefusal("InvalidKeyPair.NotFound", "no key")),
            "launch of the builder: InvalidKeyPair.NotFound",
            "AWS",
        ),
        (_refused(DENIED), "permission for the builder", "arn:aws:iam::1:role/b among BakeRoleArns"),
        (_tags(bake_job_template=""), "no bake job template", "Key=rollcall:bake-job-template,Value=TEMPLATE"),
        (_tags(bake_job_template="none"), "job template", "correct the tag rollcall:bake-job-template"),
        (_tags(bake_job_template="provision"), "bakes with the provisioning template", "it may run the same roles"),
        (_tags(bake_inventory=""), "no bake inventory", "Key=rollcall:bake-inventory,Value=INVENTORY"),
        (_tags(bake_inventory="none"), "inventory", "correct the tag rollcall:bake-inventory"),
        (_tags(bake_inventory="prod"), "a group's inventory", "make one for builders alone"),
        (_may_not_change, "role on bake inventory", "grant it the role Admin"),
        (_template(asks_limit=False), "bake template: no prompt for limit", "tick 'Prompt on launch'"),
        (_template(slices=2), "bake template: slices", "use 1"),
        (_template(asks_inventory=False, inventory_id=99), "bake template's inventory", "let it prompt"),
        (_template(job_type="check"), "bake template: not a run", "set its job type to 'Run'"),
        (_template(tags="web"), "bake template: tags", "clear its job tags"),
        (_terms(LaunchTerms(startable=False, simultaneous=True)), "role on bake template", "grant it the role Execute"),
        (_terms(LaunchTerms(True, True, ("a credential",))), "bake template needs more", "make these optional"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_speaks_against_it_is_said_with_its_remedy(
    change: Callable[[BakeWorld], None], what: str, remedy: str
) -> None:
    bake = world()
    change(bake)
    assert remedy in against(bake, what)[1]


def test_a_group_with_a_launch_configuration_has_no_version_for_an_image() -> None:
    bake = world()
    _no_launch_template(bake)
    assert "no launch template" in objections(bake)


def test_an_image_that_is_not_there_is_named() -> None:
    bake = world(base_image="ami-00000000000000009")
    assert "ami-00000000000000009 is not there" in against(bake, "base image")[0]


def test_a_version_whose_image_is_gone_leaves_nothing_current() -> None:
    bake = world()
    _base_is_gone(bake)
    assert objections(bake) == {"base image"}


def test_all_of_it_is_said_at_once() -> None:
    bake = world(instance_type="c7g.large")
    bake.group(bake_inventory="prod", bake_job_template="none")
    _template_without_tag(bake)
    _subnet_is_gone(bake)
    _base(owner="999999999999", owner_alias="")(bake)
    assert objections(bake) == {
        "a group's inventory",
        "job template",
        "template not allowed",
        "subnets",
        "base image's owner",
        "builder's architecture",
    }


def test_an_inventory_that_is_a_groups_and_one_that_may_not_be_changed_are_two_objections() -> None:
    bake = world()
    bake.group(bake_inventory="prod")
    _may_not_change(bake)
    assert objections(bake) == {"a group's inventory", "role on bake inventory"}


def test_a_subnet_whose_zone_has_not_the_type_is_passed_over_and_only_where_none_has_it_is_it_an_objection() -> None:
    bake = world()
    assert [judged(bake).plan.subnet, bake.aws.no_type] == ["subnet-1", set()]  # type: ignore[union-attr]
    bake.aws.no_type = {"subnet-1"}
    found = judged(bake)
    assert found.objections == ()
    assert found.plan
    assert found.plan.subnet == "subnet-2"
    bake.aws.no_type = {"subnet-1", "subnet-2"}
    assert objections(bake) == {"launch of the builder: Unsupported"}


def test_without_roll_out_what_only_a_cycle_needs_does_not_matter() -> None:
    bake = world(roll_out=False)
    _without_cycles(bake)
    bake.group(inventory="", job_template="")
    _override_of_another_architecture(bake)
    assert objections(bake) == set()


def test_a_template_that_is_named_needs_no_tag() -> None:
    bake = world()
    _template_without_tag(bake)
    arn = f"arn:aws:ec2:{REGION}:{ACCOUNT}:launch-template/lt-*"
    bake.bake = bake.bake._replace(template_arns=(arn,))
    assert objections(bake) == set()


@pytest.mark.parametrize("owner", [ACCOUNT, "888888888888"])
def test_images_of_ones_own_and_of_named_accounts_are_trusted(owner: str) -> None:
    bake = world()
    _base(owner=owner, owner_alias="")(bake)
    bake.bake = bake.bake._replace(trusted_accounts=("888888888888",))
    assert objections(bake) == set()


def test_an_override_with_an_image_of_its_own_may_have_another_architecture_and_is_named() -> None:
    bake = world()
    bake.overridden({"InstanceType": "m7i.large"}, {"InstanceType": "c7g.large", "ImageId": "ami-arm"})
    found = judged(bake)
    assert found.objections == ()
    assert found.warnings == ("the override for c7g.large keeps image ami-arm: this bake is not for it",)


def test_of_a_version_without_a_type_the_first_override_that_fits_is_taken() -> None:
    bake = world(roll_out=False)
    bake.version(InstanceType="")
    bake.overridden({"InstanceType": "c7g.large"}, {"InstanceType": "m7i.large"})
    plan = judged(bake).plan
    assert plan
    assert plan.instance_type == "m7i.large"


def test_a_base_image_may_be_named_by_a_parameter_and_so_may_the_versions() -> None:
    bake = world(base_image="ssm:/golden")
    bake.aws.parameters = {"/golden": BASE}
    assert objections(bake) == set()
    bake = world()
    bake.version(ImageId="resolve:ssm:/golden")
    bake.aws.parameters = {"/golden": BASE}
    found = judged(bake)
    assert found.objections == ()
    assert "names its image by a parameter" in found.warnings[0]


def test_a_smoke_test_that_provisions_needs_the_groups_job_and_is_tried_with_its_profile() -> None:
    bake = world(smoke="provision")
    bake.group(job_template="")
    assert objections(bake) == {"smoke test"}
    bake = world(smoke="provision")
    bake.aws.refusal = DENIED
    assert objections(bake) == {"permission for the builder", "permission for the instance of the smoke test"}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"smoke": "off"}, "the image is not tried before it is rolled out (--smoke off"),
        ({"smoke": "off", "roll_out": False}, "the image is not tried (--smoke off"),
        ({"instance_profile": "builder"}, "what runs on it may use that"),
        ({"user_data": True}, "see that it does not make it join production"),
    ],
)
def test_what_is_risky_is_said(request_: dict[str, Any], words: str) -> None:
    [warning] = judged(world(**request_)).warnings
    assert words in warning


def test_a_project_that_may_not_be_read_is_a_warning() -> None:
    bake = world()
    bake.tower.failing["project"] = TowerDenied("no access")
    found = judged(bake)
    assert found.objections == ()
    assert "grant the token's user the role Read on the project" in found.warnings[0]


def test_a_project_that_is_updated_by_its_jobs_is_named() -> None:
    bake = world()
    bake.tower.projects[5] = bake.tower.projects[5]._replace(updates_on_launch=True)
    assert "is updated as the job starts" in judged(bake).warnings[0]
    assert "a bake by schedule is made every time" in judged(bake).warnings[0]


@pytest.mark.parametrize(
    ("request_", "last", "words"),
    [
        ({}, None, "there is something new: no bake of it went well before"),
        ({}, Baked("ami-old", "c0ffee"), "there is something new: the last one began with base image ami-old, and"),
        ({}, Baked(BASE, "0ld"), "there is something new: the project's revision is c0ffee, and was 0ld"),
        (
            {"base_image": "current"},
            Baked("ami-old", "c0ffee"),
            "which each bake makes anew, so there is always something",
        ),
        ({}, Baked(BASE, "c0ffee"), ""),
        ({"only_if_new": False}, None, ""),
    ],
)
def test_a_bake_that_is_made_only_of_something_new_says_what_is_new(
    request_: dict[str, Any], last: Baked | None, words: str
) -> None:
    bake = world(**{"only_if_new": True, "base_image": BASE} | request_)
    observer = bake.observer()
    observer._last = lambda request: last  # type: ignore[method-assign]
    warnings = observer.preflight(bake.request, "this one").warnings
    assert [words in each for each in warnings] == ([True] if words else [])


def test_while_tower_is_away_nothing_is_judged() -> None:
    bake = world()
    bake.tower.unavailable = True
    with pytest.raises(TowerUnavailable):
        judged(bake)


# Keys


def encrypted(policy: dict[str, Any] | None, **facts: Any) -> BakeWorld:
    bake = world()
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": KEY}}])
    bake.keys.known[KEY] = KeyFacts(KEY, KEY, policy=policy, grantees={}, **facts)
    bake.bake = bake.bake._replace(key_arns=(KEY,))
    return bake


def allowed(*principals: str) -> dict[str, Any]:
    own = {"Effect": "Allow", "Action": ["kms:CreateGrant", "kms:Decrypt"], "Principal": {"AWS": list(principals)}}
    return {"Statement": [ROOT, own]}


def test_a_key_that_both_roles_may_use_is_no_objection() -> None:
    assert objections(encrypted(allowed(SERVICE_ROLE))) == set()


def test_the_account_alone_does_not_let_auto_scaling_use_a_key() -> None:
    reason, remedy = against(encrypted({"Statement": ROOT}), f"key {KEY}: Auto Scaling's role of the group")
    assert SERVICE_ROLE in reason
    assert "kms:CreateGrant" in remedy


def test_what_a_policy_denies_is_not_what_it_allows() -> None:
    denied = {"Effect": "Deny", "Action": "kms:*", "Principal": {"AWS": SERVICE_ROLE}}
    assert objections(encrypted({"Statement": [ROOT, denied]})) == {f"key {KEY}: Auto Scaling's role of the group"}


@pytest.mark.parametrize("denied", [SERVICE_ROLE, f"arn:aws:iam::{ACCOUNT}:root", "*"])
def test_what_a_policy_denies_neither_the_policy_nor_a_grant_allows(denied: str) -> None:
    policy = allowed(SERVICE_ROLE)
    policy["Statement"].append({"Effect": "Deny", "Action": "kms:*", "Principal": {"AWS": denied}})
    bake = encrypted(policy)
    grantees = {SERVICE_ROLE: frozenset({"CreateGrant", "Decrypt"})}
    bake.keys.known[KEY] = bake.keys.known[KEY]._replace(grantees=grantees)
    own = set() if denied == SERVICE_ROLE else {f"key {KEY}: the role of bake"}
    assert objections(bake) == own | {f"key {KEY}: Auto Scaling's role of the group"}


@pytest.mark.parametrize(
    "changes",
    [{"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, {"Action": "kms:ScheduleKeyDeletion"}],
    ids=["a condition", "another action"],
)
def test_what_is_denied_only_under_a_condition_or_is_another_action_does_not_count(changes: dict[str, Any]) -> None:
    policy = allowed(SERVICE_ROLE)
    policy["Statement"].append({"Effect": "Deny", "Action": "kms:*", "Principal": "*", **changes})
    assert objections(encrypted(policy)) == set()


def test_a_grant_is_as_good_as_the_policy() -> None:
    bake = encrypted({"Statement": [ROOT]})
    grantees = {SERVICE_ROLE: frozenset({"CreateGrant", "Decrypt"})}
    bake.keys.known[KEY] = bake.keys.known[KEY]._replace(grantees=grantees)
    assert objections(bake) == set()


def test_a_key_whose_policy_leaves_nothing_to_the_account_has_to_name_bakes_role() -> None:
    policy = {"Statement": allowed(SERVICE_ROLE)["Statement"][1:]}
    assert objections(encrypted(policy)) == {f"key {KEY}: the role of bake"}
    both = allowed(SERVICE_ROLE, f"arn:aws:iam::{ACCOUNT}:role/rollcall/bake")  # AWS does not show the path
    assert objections(encrypted({"Statement": both["Statement"][1:]})) == set()


def test_a_key_that_the_stack_does_not_name_and_one_that_is_disabled_are_objections() -> None:
    bake = encrypted(allowed(SERVICE_ROLE), state="Disabled")
    bake.bake = bake.bake._replace(key_arns=())
    assert objections(bake) == {f"key {KEY}", f"key {KEY} not named"}


def test_a_key_that_is_gone_is_the_only_objection_to_it() -> None:
    bake = encrypted(None, state=MISSING)
    bake.bake = bake.bake._replace(key_arns=())
    assert objections(bake) == {f"key {KEY}"}
    reason, remedy = against(bake, f"key {KEY}")
    assert reason == f"KMS key {KEY} encrypts the volumes, and is not there"
    assert remedy == "let the launch template's version name another one"


def test_a_key_that_the_stack_does_not_name_is_an_objection_also_where_bake_may_not_read_it() -> None:
    """It may read only those that are named."""
    bake = encrypted(None, unread="AWS refused kms:DescribeKey")
    bake.keys.known[KEY] = bake.keys.known[KEY]._replace(arn="")
    assert objections(bake) == set()
    bake.bake = bake.bake._replace(key_arns=())
    assert against(bake, f"key {KEY} not named")[1] == f"deploy with {KEY} among KmsKeyArns"
    assert judged(bake).warnings == ()


def test_an_alias_that_may_not_be_read_is_a_warning() -> None:
    bake = encrypted(None)
    alias = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/ours"
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"KmsKeyId": alias}}])
    bake.keys.known[alias] = KeyFacts(alias, unread="AWS refused kms:DescribeKey")
    assert objections(bake) == set()
    assert f"KMS key {alias} could not be read" in judged(bake).warnings[0]


def test_a_key_that_is_named_by_its_id_alone_is_of_no_account_that_has_to_see_to_it() -> None:
    bake = encrypted(None)
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"KmsKeyId": "1234"}}])
    bake.keys.known["1234"] = KeyFacts("1234", unread="AWS refused kms:DescribeKey")
    [warning] = judged(bake).warnings
    assert "KMS key 1234 could not be read (AWS refused kms:DescribeKey): deploy with its ARN" in warning


def test_what_cannot_be_read_of_a_key_is_a_warning() -> None:
    bake = encrypted(None, unread="AWS refused kms:GetKeyPolicy")
    found = judged(bake)
    assert found.objections == ()
    assert "deploy with its ARN among KmsKeyArns" in found.warnings[0]


def test_a_key_of_awss_needs_no_permission() -> None:
    bake = encrypted(None, manager="AWS")
    bake.bake = bake.bake._replace(key_arns=())
    assert (objections(bake), judged(bake).warnings) == (set(), ())


@pytest.mark.parametrize(
    ("volume", "image_", "by_default", "judged_"),
    [
        ({}, {}, True, True),
        ({}, {}, False, False),
        ({"Encrypted": True}, {}, False, True),
        ({}, {"Encrypted": True, "SnapshotId": "snap-1"}, True, False),  # its own snapshot's key stays
        ({"Encrypted": True, "KmsKeyId": "arn:aws:kms:other"}, {}, True, False),
    ],
)
def test_the_key_that_the_account_has_by_default_is_judged_where_no_other_is_named(
    volume: dict[str, Any], image_: dict[str, Any], *, by_default: bool, judged_: bool
) -> None:
    bake = world()
    own = image(
        owner=ACCOUNT, owner_alias="", mappings=({"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8} | image_},)
    )
    bake.aws.known[BASE] = own
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": volume}])
    bake.keys.by_default, bake.keys.default = by_default, KEY
    bake.keys.known[KEY] = KeyFacts(KEY, KEY, policy={"Statement": [ROOT]}, grantees={})
    bake.keys.known["arn:aws:kms:other"] = KeyFacts("arn:aws:kms:other", manager="AWS")
    bake.aws.snapshot_keys["snap-1"] = "arn:aws:kms:other"
    found = {f"key {KEY} not named", f"key {KEY}: Auto Scaling's role of the group"}
    assert objections(bake) == (found if judged_ else set())


def from_encrypted(key: str | AwsDenied | None, **image_: Any) -> BakeWorld:
    """The base image is the account's own, and its root snapshot encrypted with a key. key: None if it is not shown."""
    bake = world()
    volume = {"VolumeSize": 8, "Encrypted": True, "SnapshotId": "snap-1"}
    own = {"owner": ACCOUNT, "owner_alias": "", **image_}
    bake.aws.known[BASE] = image(mappings=({"DeviceName": "/dev/xvda", "Ebs": volume},), **own)
    if key is not None:
        bake.aws.snapshot_keys["snap-1"] = key
    bake.bake = bake.bake._replace(key_arns=(KEY,), trusted_accounts=(OTHER_ACCOUNT,))
    return bake


def test_both_roles_need_the_key_of_an_own_image_for_its_volumes_keep_it() -> None:
    bake = from_encrypted(KEY)
    bake.keys.by_default = True  # with another key, which does not matter
    bake.keys.known[KEY] = KeyFacts(KEY, KEY, policy={"Statement": ROOT}, grantees={})
    assert against(bake, f"key {KEY}: Auto Scaling's role of the group")[0].startswith("neither the policy of KMS key")
    bake.keys.known[KEY] = bake.keys.known[KEY]._replace(policy=allowed(SERVICE_ROLE))
    assert objections(bake) == set()
    bake.bake = bake.bake._replace(key_arns=())
    assert against(bake, f"key {KEY} not named")[0].startswith(f"KMS key {KEY} encrypts the volumes")


def test_the_key_of_an_image_whose_volumes_get_another_one_is_needed_by_bakes_role_alone_and_to_decrypt() -> None:
    bake = from_encrypted(OTHER_KEY)
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": KEY}}])
    bake.keys.known[KEY] = KeyFacts(KEY, KEY, policy=allowed(SERVICE_ROLE), grantees={})
    bake.keys.known[OTHER_KEY] = KeyFacts(OTHER_KEY, OTHER_KEY, policy={"Statement": ROOT}, grantees={})
    reason, remedy = against(bake, f"key {OTHER_KEY} not named")
    assert reason == f"KMS key {OTHER_KEY} encrypts the base image, and bake has no permission for it"
    assert remedy == f"deploy with {OTHER_KEY} among KmsKeyArns"
    bake.bake = bake.bake._replace(key_arns=(KEY, OTHER_KEY))
    assert objections(bake) == set()
    bake.keys.known[OTHER_KEY] = bake.keys.known[OTHER_KEY]._replace(policy={"Statement": []})
    assert objections(bake) == {f"key {OTHER_KEY}: the role of bake"}
    role = f"arn:aws:iam::{ACCOUNT}:role/bake"
    for operations, missing in (({"CreateGrant"}, {f"key {OTHER_KEY}: the role of bake"}), ({"Decrypt"}, set())):
        grantees = {role: frozenset(operations)}
        bake.keys.known[OTHER_KEY] = bake.keys.known[OTHER_KEY]._replace(grantees=grantees)
        assert objections(bake) == missing


def test_a_key_that_encrypts_base_image_and_volumes_is_judged_once_however_the_version_names_it() -> None:
    bake = from_encrypted(KEY)
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"KmsKeyId": "alias/ours"}}])
    bake.keys.known["alias/ours"] = KeyFacts("alias/ours", KEY, policy={"Statement": []}, grantees={})
    bake.bake = bake.bake._replace(key_arns=())
    own = f"key {KEY}: "
    assert sorted(each.what for each in judged(bake).objections) == [
        f"key {KEY} not named",
        f"{own}Auto Scaling's role of the group",
        f"{own}the role of bake",
    ]


def test_so_is_one_that_may_not_be_described() -> None:
    bake = from_encrypted(KEY)
    bake.version(BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"KmsKeyId": KEY}}])
    bake.keys.known[KEY] = KeyFacts(KEY, unread="AWS refused kms:DescribeKey")
    assert len(judged(bake).warnings) == 1


def test_an_own_image_that_is_encrypted_with_the_key_of_awss_needs_no_permission() -> None:
    bake = from_encrypted(OTHER_KEY)
    bake.keys.known[OTHER_KEY] = KeyFacts(OTHER_KEY, OTHER_KEY, manager="AWS")
    assert (objections(bake), judged(bake).warnings) == (set(), ())


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (None, "(EC2 does not show this account its snapshot snap-1)"),
        (AwsDenied("AWS refused DescribeSnapshots snap-1"), "(AWS refused DescribeSnapshots snap-1)"),
    ],
    ids=["not shared", "denied"],
)
def test_a_base_image_whose_key_cannot_be_read_is_a_warning_with_the_remedy(key: AwsDenied | None, words: str) -> None:
    bake = from_encrypted(key)
    assert objections(bake) == set()
    [warning] = judged(bake).warnings
    assert warning.startswith(f"the KMS key of base image {BASE} could not be read {words}: unless AWS manages it, see")


def test_of_a_key_of_another_account_its_owner_has_to_see_that_it_may_be_used() -> None:
    bake = from_encrypted(FOREIGN_KEY, owner=OTHER_ACCOUNT)
    bake.keys.known[FOREIGN_KEY] = KeyFacts(FOREIGN_KEY, FOREIGN_KEY, unread="AWS refused kms:GetKeyPolicy")
    assert objections(bake) == {f"key {FOREIGN_KEY} not named"}
    assert judged(bake).warnings == ()
    bake.bake = bake.bake._replace(key_arns=(FOREIGN_KEY,))
    assert objections(bake) == set()
    [warning] = judged(bake).warnings
    assert f"for it is account {OTHER_ACCOUNT}'s: see that its policy allows kms:CreateGrant, kms:Decrypt" in warning
    assert warning.endswith(f"to arn:aws:iam::{ACCOUNT}:role/bake")


def test_that_the_default_key_may_not_be_read_keeps_none_from_judging_the_base_images() -> None:
    bake = from_encrypted(OTHER_KEY, owner=OTHER_ACCOUNT)
    bake.keys.known[OTHER_KEY] = KeyFacts(OTHER_KEY, OTHER_KEY, policy={"Statement": ROOT}, grantees={})
    bake.keys.denied = AwsDenied("AWS refused GetEbsDefaultKmsKeyId")
    assert objections(bake) == {f"key {OTHER_KEY} not named"}
    assert "could not be read (AWS refused GetEbsDefaultKmsKeyId)" in judged(bake).warnings[0]


def test_an_encrypted_image_of_another_account_gets_the_default_key() -> None:
    bake = from_encrypted("arn:aws:kms:other", owner=OTHER_ACCOUNT)
    bake.bake = bake.bake._replace(key_arns=())
    bake.keys.known["arn:aws:kms:other"] = KeyFacts("arn:aws:kms:other", manager="AWS")
    bake.keys.default = KEY
    bake.keys.known[KEY] = KeyFacts(KEY, KEY, policy=allowed(SERVICE_ROLE), grantees={})
    assert objections(bake) == {f"key {KEY} not named"}


def test_the_default_key_that_aws_manages_needs_no_permission_and_one_that_cannot_be_read_is_a_warning() -> None:
    bake = world()
    bake.keys.by_default = True
    assert (judged(bake).objections, judged(bake).warnings) == ((), ())
    bake.keys.denied = AwsDenied("AWS refused GetEbsEncryptionByDefault")
    found = judged(bake)
    assert found.objections == ()
    [warning] = found.warnings
    assert "could not be read (AWS refused GetEbsEncryptionByDefault)" in warning


def test_what_the_roll_out_warns_of_is_left_out_of_a_group_that_cannot_stay_on_the_newest_version() -> None:
    bake = world()
    bake.roll_out = RollOutPreflight(warnings=("with --pin it could be put back",))
    assert judged(bake).warnings == ("roll-out: with --pin it could be put back",)
    _on(bake, "$Latest")
    assert judged(bake).warnings == ()
