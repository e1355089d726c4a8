"""What we replace of MiniStack's EC2 about images: all of it, tags of what is not there, fleets, which use images, and
what an account encrypts by default.

MiniStack makes no images of instances, and one that is registered is a container to it; of fleets it forgets images.
All keys are a customer's to it.
"""

from ministack.services import ec2, kms

from lab.aws import default_encryption, dry_run
from lab.aws import fleets as fleet_requests
from lab.aws import ministack_images as kept
from lab.aws.dry_run import Refusal
from lab.aws.ec2_errors import no_instance, no_snapshot
from lab.aws.fleets import Fleets
from lab.aws.image_api import ACTIONS, ImageApi, handlers
from lab.aws.images import Images
from lab.aws.ministack import Record, Response, instance


def install(images: Images, api: ImageApi) -> None:
    """Put them in the place of MiniStack's."""
    for image in sorted(dry_run.IMAGES):
        kept.add_public_image(image, "lab", "An image of the lab")
    ec2._ACTION_MAP.update(handlers(ACTIONS, api.serve))
    ec2._ACTION_MAP.update(handlers(default_encryption.SERVED, default_encryption.serve))
    ec2._ACTION_MAP.update(handlers(fleet_requests.ACTIONS, Fleets(images.clock).serve))
    _tag_what_exists(images)
    _show_key_managers()


def _show_key_managers() -> None:
    """Let DescribeKey say of a key that AWS manages it that it does."""
    describe = kms._key_metadata

    def described(key: Record) -> Record:
        return {**describe(key), "KeyManager": key.get("KeyManager", "CUSTOMER")}

    kms._key_metadata = described


def _tag_what_exists(images: Images) -> None:
    """Refuse tags for an image, a snapshot or an instance that there is not."""
    create = ec2._ACTION_MAP["CreateTags"]

    def create_tags(params: Record) -> Response:
        for each in ec2._parse_member_list(params, "ResourceId"):
            refusal = _refusal(images, each)
            if refusal:
                refused: Response = ec2._error(*refusal)
                return refused
        answered: Response = create(params)
        return answered

    ec2._ACTION_MAP["CreateTags"] = create_tags


def _refusal(images: Images, resource_id: str) -> Refusal | None:
    """Why a resource cannot be tagged; None if it can."""
    if resource_id.startswith("ami-") and not (images.find(resource_id) or dry_run.is_image(resource_id)):
        return dry_run.no_image([resource_id])
    if resource_id.startswith("snap-") and kept.snapshot(resource_id) is None:
        return no_snapshot(resource_id).refusal
    if resource_id.startswith("i-") and instance(resource_id) is None:
        return no_instance([resource_id]).refusal
    return None
