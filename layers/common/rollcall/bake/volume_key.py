"""The KMS key with which the root volume of a builder, and so the image, is encrypted."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollcall.domain.errors import AwsDenied

from .launch_fields import asks_for_default_key, root_volume_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rollcall.aws.encryption_keys import EncryptionKeys
    from rollcall.aws.images import Image


class VolumeKey(NamedTuple):
    """A key by its id, alias or ARN; empty for none, or one that is not known. unread: why the default was not read."""

    key: str = ""
    unread: str = ""


def volume_key(keys: EncryptionKeys, data: Mapping[str, Any], base: Image, former_root: str, account: str) -> VolumeKey:
    """The key that the version or the image names, else the account's default one where that is used.

    data: of the version. base: the image that is launched. former_root: the root device of the version's own image.
    account: which launches. Raises what AWS fails at for now.
    """
    named = root_volume_key(data, base.mappings, base.root_device, former_root)
    if named:
        return VolumeKey(named)
    is_own = base.owner == account
    asks = asks_for_default_key(data, base.mappings, base.root_device, former_root, is_own=is_own)
    try:
        if asks or (asks is None and keys.encrypts_by_default()):
            return VolumeKey(keys.default_key())
    except AwsDenied as error:
        return VolumeKey(unread=str(error))
    return VolumeKey()
