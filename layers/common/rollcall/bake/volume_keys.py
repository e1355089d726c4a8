"""The KMS keys with which a bake's volumes are encrypted: the builder's, and so the image's, and the base image's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import AwsDenied

from .launch_fields import asks_for_default_key, root_volume, root_volume_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rollcall.aws.encryption_keys import EncryptionKeys
    from rollcall.aws.images import Image, Images


class VolumeKeys(NamedTuple):
    """Keys by id, alias or ARN; empty for none, or one that is not known.

    volume: of the root volumes of builder, image and the group's instances. source: of the base image's root snapshot.
    default_unread: why the account's default key was not read. source_unread: why source was not.
    """

    volume: str = ""
    source: str = ""
    default_unread: str = ""
    source_unread: str = ""


def volume_keys(
    keys: EncryptionKeys, images: Images, data: Mapping[str, Any], base: Image, former_root: str, account: str
) -> VolumeKeys:
    """The key that the version names, else the snapshot's, else the account's default one where that is used.

    data: of the version. base: the image that is launched. former_root: the root device of the version's own image.
    account: which launches. An own snapshot's volume keeps its key, and one of another account's that is shared gets
    the default one (EBS user guide, "Amazon EBS encryption", outcomes). Raises what AWS fails at for now.
    """
    found = _source(images, base)
    named = root_volume_key(data, former_root)
    if named:
        return found._replace(volume=named)
    root = root_volume(base.mappings, base.root_device)
    if root.get("Encrypted") and base.owner == account:
        return found._replace(volume=found.source)
    try:
        if asks_for_default_key(data, root, former_root) or keys.encrypts_by_default():
            return found._replace(volume=keys.default_key())
    except AwsDenied as error:
        return found._replace(default_unread=str(error))
    return found


def _source(images: Images, base: Image) -> VolumeKeys:
    """With the key of the root snapshot, which DescribeImages does not show."""
    root = root_volume(base.mappings, base.root_device)
    if not root.get("Encrypted"):
        return VolumeKeys()
    snapshot = str(root.get("SnapshotId", ""))
    try:
        key = images.snapshot_key(snapshot)
    except AwsDenied as error:
        return VolumeKeys(source_unread=str(error))
    if key is None:  # of an image that is shared the snapshots need not be (EC2 user guide, "Share an AMI")
        return VolumeKeys(source_unread=f"EC2 does not show this account its snapshot {snapshot}")
    return VolumeKeys(source=key)
