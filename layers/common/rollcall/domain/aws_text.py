"""What AWS takes as an id, a name or a text, and how large a message may be. Pure.

Auto Scaling refuses a whole call for one value outside these, and botocore sends none that cannot be encoded. So all
that comes from outside is checked before it shares a call with others. Lengths and characters are those of botocore's
service model of Auto Scaling, which a test compares with this. An instance id is checked no more closely than that:
EC2's own have 8 or 17 hexadecimal digits, and where it refuses others for all (DescribeInstanceStatus, the targets of
load balancers) the call is bisected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing import TypeGuard

# What XML has not for characters, and so neither SQS nor Auto Scaling: control characters, NUL among them, and half a
# surrogate pair, both of which JSON can write (Amazon SQS API reference, SendMessage; W3C, Extensible Markup Language,
# Char). The opposite, all ranges that it has, takes eight milliseconds of a cold start to compile.
NO_CHARACTERS = "\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
NOT_SUPPORTED = re.compile(f"[{NO_CHARACTERS}]")
# Of one call to SQS, and so of one message, and of one call to EventBridge. SQS takes 1 MiB since 2025, but no queue
# made before does, and PutEvents 1 MB since 2026.
CALL_BYTES = 256 * 1024
TEXT_MAX = 1000  # characters of a text in a message that is no name


class TextRule(NamedTuple):
    """What a text has to be. requirement: that in words, for the error about another one."""

    pattern: re.Pattern[str]
    requirement: str

    def allows(self, value: object) -> TypeGuard[str]:
        """Whether a value is such a text."""
        return isinstance(value, str) and self.pattern.fullmatch(value) is not None


# EC2's own words for an id that it refuses: it "may only contain lowercase alphanumeric characters and a single dash";
# Auto Scaling takes at most 19 characters (its API, XmlStringMaxLen19).
INSTANCE_ID = TextRule(re.compile("i-[0-9a-z]{1,17}"), "an instance id is i- and up to 17 lowercase letters and digits")
GROUP_NAME = TextRule(
    re.compile(f"[^{NO_CHARACTERS}]{{1,255}}"), "a group's name has 1 to 255 characters that XML allows"
)
HOOK_NAME = TextRule(re.compile("[A-Za-z0-9_/-]{1,255}"), "a hook's name has 1 to 255 letters, digits and - _ /")
TOKEN = TextRule(re.compile("[!-~]{36}"), "a lifecycle action's token has 36 characters")
ACCOUNT = TextRule(re.compile("[0-9]{12}"), "an account's id has 12 digits")
REGION = TextRule(re.compile("[a-z]{2,8}(-[a-z]{1,16}){1,4}-[0-9]{1,2}"), "a Region is one like us-east-1")
SHORT_TEXT = TextRule(re.compile("[!-~]{1,256}"), "it has 1 to 256 printable ASCII characters without blanks")
TEXT = TextRule(re.compile(f"[^{NO_CHARACTERS}]{{1,{TEXT_MAX}}}"), f"it has 1 to {TEXT_MAX} characters that XML allows")


def aws_safe(text: str) -> str:
    """A text as AWS takes it: a question mark stands for each character that it does not take."""
    return NOT_SUPPORTED.sub("?", text)


def aws_safe_json(value: Any) -> Any:
    """The same value with all text in it, keys included, as AWS takes it. Raises RecursionError for deep nesting."""
    if isinstance(value, str):
        return aws_safe(value)
    if isinstance(value, dict):
        return {aws_safe(str(key)): aws_safe_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [aws_safe_json(each) for each in value]
    return value
