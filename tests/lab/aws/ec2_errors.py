"""EC2's refusals about images, snapshots, versions and launches.

Source: Amazon EC2 API reference ("Error codes") for the codes. Words that are not marked are AWS's: those about a name
and a snapshot in use and an architecture as issues of hashicorp/packer, aws-nuke and skypilot report them, that about
termination protection from the user guide ("Terminate Amazon EC2 instances"). What the codes of the marked ones are is
not said anywhere that was found, nor what AWS says with them.
"""

from collections.abc import Iterable

from lab.aws.dry_run import OURS, Refusal


class Refused(Exception):
    """A call is refused."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code}: {refusal.message}")
        self.refusal = refusal


def refuse(code: str, words: str) -> Refused:
    """Return an error of EC2 in words of the lab."""
    return Refused(Refusal(code, f"{words} {OURS}"))


def invalid(words: str) -> Refused:
    """Return the error for a value that a parameter cannot have."""
    return refuse("InvalidParameterValue", words)


def missing(parameter: str) -> Refused:
    """Return the error for a parameter that is not there."""
    return Refused(Refusal("MissingParameter", f"The request must contain the parameter {parameter}"))


def unavailable(image_id: str, state: str) -> Refused:
    """Return the error for an image that is there, and from which nothing can be launched."""
    return refuse("InvalidAMIID.Unavailable", f"{image_id} is {state}")


def duplicate_name(name: str, image_id: str) -> Refused:
    """Return the error for a name that an image has already."""
    return Refused(Refusal("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image_id}"))


def no_snapshot(snapshot_id: str) -> Refused:
    """Return the error for a snapshot that does not exist."""
    return Refused(Refusal("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist."))


def snapshot_in_use(snapshot_id: str, image_id: str) -> Refused:
    """Return the error for a snapshot that an image has."""
    return Refused(Refusal("InvalidSnapshot.InUse", f"The snapshot {snapshot_id} is currently in use by {image_id}"))


def no_instance(instance_ids: Iterable[str]) -> Refused:
    """Return the error for an instance that does not exist."""
    return Refused(Refusal("InvalidInstanceID.NotFound", f"The instance ID '{', '.join(instance_ids)}' does not exist"))


def protected_instance(instance_id: str) -> Refused:
    """Return the error for an instance with termination protection."""
    words = (
        f"The instance '{instance_id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and"
        " try again."
    )
    return Refused(Refusal("OperationNotPermitted", words))


def architectures_differ(kind: str, image: str) -> Refused:
    """Return the error for an instance type and an image of different architectures."""
    words = (
        f"The architecture '{kind}' of the specified instance type does not match the architecture '{image}' of the"
        " specified AMI. Specify an instance type and an AMI that have matching architectures, and try again."
    )
    return Refused(Refusal("InvalidParameterValue", words))


def mismatch(token: str) -> Refused:
    """Return the error for a client token that came before with other parameters."""
    return refuse("IdempotentParameterMismatch", f"{token} was given with other parameters before")
