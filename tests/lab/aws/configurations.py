"""What a group launches its instances from: its launch template, or its mixed instances policy.

A configuration is a record with a LaunchTemplate or a MixedInstancesPolicy, as groups and the desired configuration of
an instance refresh have it; empty for a group without either. Of a policy the lab takes the override of which the
fewest instances are there, the first of them: it has one price and endless capacity, so InstancesDistribution says
nothing to it.

Source: Amazon EC2 Auto Scaling API reference (MixedInstancesPolicy, LaunchTemplateOverrides) and user guide ("Use an
instance refresh with skip matching", "Undo changes with a rollback").
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lab.aws import ministack as cloud
from lab.aws.lifecycle import Instance
from lab.aws.ministack import Record

KINDS = ("LaunchTemplate", "MixedInstancesPolicy")
ALIASES = ("$Latest", "$Default")
DEFAULT = "$Default"
"""The version of a specification that names none."""
PARAMETER = "resolve:ssm:"
"""What an image begins with that is a parameter of Systems Manager."""


@dataclass(frozen=True)
class Choice:
    """What one instance is launched from.

    template: LaunchTemplateId, LaunchTemplateName and Version (its number), empty without a template. data: the launch
    template data, with what the override says. override: its place in the policy, None without one. image: the one that
    an override names, else "". weight: of the override, None where it has none.
    """

    template: dict[str, str]
    data: Record
    override: int | None = None
    image: str = ""
    weight: int | None = None


def of(group: Record) -> Record:
    """Return the configuration that a group was given last."""
    policy = group.get("MixedInstancesPolicy")
    if policy:
        return {"MixedInstancesPolicy": policy}
    template = given(group.get("LaunchTemplate"))
    return {"LaunchTemplate": template} if template else {}


def save(group: Record, configuration: Record) -> None:
    """Let a group have this configuration, and no other."""
    for kind in KINDS:
        group[kind] = configuration.get(kind, {})


def given(record: Record | None) -> Record:
    """Return what of a record has a value."""
    return {key: value for key, value in (record or {}).items() if value}


def described(configuration: Record) -> Record:
    """Return a configuration as the API shows it: templates with id, name and version."""
    if policy := configuration.get("MixedInstancesPolicy"):
        launch = policy.get("LaunchTemplate") or {}
        overrides = [_described_override(each) for each in launch.get("Overrides") or []]
        base = launch.get("LaunchTemplateSpecification")
        shown = {"LaunchTemplateSpecification": named(base)} if base else {}
        return {
            "MixedInstancesPolicy": {
                **policy,
                "LaunchTemplate": {**shown, **({"Overrides": overrides} if overrides else {})},
            }
        }
    template = configuration.get("LaunchTemplate")
    return {"LaunchTemplate": named(template)} if template else {}


def _described_override(override: Record) -> Record:
    own = override.get("LaunchTemplateSpecification")
    return {**override, "LaunchTemplateSpecification": named(own)} if own else override


def named(specification: Record) -> Record:
    """Return a template's specification with its id, its name and a version."""
    return given(cloud.launch_template_named(given(specification)))


def specifications(configuration: Record) -> list[Record]:
    """Return the templates that a configuration names: the base first, then those of overrides."""
    if policy := configuration.get("MixedInstancesPolicy"):
        launch = policy.get("LaunchTemplate") or {}
        own = [each.get("LaunchTemplateSpecification") for each in launch.get("Overrides") or []]
        return [each for each in (launch.get("LaunchTemplateSpecification"), *own) if each]
    template = configuration.get("LaunchTemplate")
    return [template] if template else []


def names_each_template_once(configuration: Record) -> bool:
    """Whether every template is named by its id or by its name: a request with both, as groups show them, is refused.

    Source: the issues of those who sent back what they had read (terraform-provider-aws, aws-cli #7281).
    """
    keys = ("LaunchTemplateId", "LaunchTemplateName")
    return all(sum(bool(each.get(key)) for key in keys) == 1 for each in specifications(configuration))


def has_requirements(configuration: Record) -> bool:
    """Whether instance types are chosen by their attributes."""
    return any("InstanceRequirements" in override for override in _overrides(configuration))


def follows_an_alias(configuration: Record) -> bool:
    """Whether a template is named by $Latest or $Default, which no rollback can return to."""
    return any((each.get("Version") or DEFAULT) in ALIASES for each in specifications(configuration))


def uses_a_parameter(configuration: Record) -> bool:
    """Whether a template's image is a parameter of Systems Manager."""
    versions = (cloud.launch_template_version(given(each)) for each in specifications(configuration))
    return any(str(version["Data"].get("ImageId", "")).startswith(PARAMETER) for version in versions)


def choose(configuration: Record, used: Counter[int | None]) -> Choice:
    """Return what the next instance is launched from. used: instances there are, by the place of their override."""
    places = range(len(_overrides(configuration)))
    override = min(places, key=lambda place: used[place], default=None)
    return _choice(configuration, override)


def matches(configuration: Record, instance: Instance) -> bool:
    """Whether an instance is what the configuration launches now: of its template, version, type and image."""
    return any(
        choice.template == instance.launch_template
        and cloud.instance_type(instance.instance_id) == cloud.type_in(choice.data)
        and choice.image == instance.image
        for choice in choices(configuration)
    )


def choices(configuration: Record) -> Iterator[Choice]:
    """Return everything that an instance may be launched from."""
    for place in range(len(_overrides(configuration))) or [None]:
        yield _choice(configuration, place)


def _choice(configuration: Record, place: int | None) -> Choice:
    base = specifications(configuration)[:1]
    override = {} if place is None else _overrides(configuration)[place]
    specification = override.get("LaunchTemplateSpecification") or (base[0] if base else {})
    version = cloud.launch_template_version(given(specification))
    weight, image = override.get("WeightedCapacity"), str(override.get("ImageId") or "")
    return Choice(
        template={key: value for key, value in version.items() if key != "Data"},
        data={**version["Data"], **given({"InstanceType": override.get("InstanceType"), "ImageId": image})},
        override=place,
        image=image,
        weight=int(weight) if weight else None,
    )


def _overrides(configuration: Record) -> list[Record]:
    policy = configuration.get("MixedInstancesPolicy") or {}
    overrides: list[Record] = (policy.get("LaunchTemplate") or {}).get("Overrides") or []
    return overrides
