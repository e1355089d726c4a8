"""What every command ends with. Other programs go by it, so a code keeps its meaning."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands, in one table.

    |               | when                                                                                         |
    |---------------|----------------------------------------------------------------------------------------------|
    | OK            | done, and nothing is left for you; also where the reader of the answer closes the pipe early |
    | ACT           | you have to act: something is wrong, failed, is left, or was stopped after a part was done   |
    | NOT_RUN       | nothing was changed: the command line is wrong, you said no, or AWS or Tower did not answer  |
    | REFUSED       | a cycle or a bake was refused before anything was changed: its objections say why            |
    | INTERRUPTED   | ended by Ctrl-C, or by the end of the input at a question; what was done until then stays    |
    """

    OK = 0
    ACT = 1
    NOT_RUN = 2
    REFUSED = 3
    INTERRUPTED = 130
