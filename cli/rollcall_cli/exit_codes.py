"""What every command ends with. Other programs go by it, so a code keeps its meaning."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of all commands, in one table.

    |               | when                                                                                        |
    |---------------|---------------------------------------------------------------------------------------------|
    | OK            | done, and nothing is left for the operator; also where the reader closes the pipe early     |
    | ACT           | done, and the operator has to act: something is wrong, was stopped, failed, or is left      |
    | NOT_RUN       | nothing was done: the command line is wrong, or AWS, Tower or the stack cannot be reached   |
    | INTERRUPTED   | ended by Ctrl-C; the command says what is left as it is                                     |
    """

    OK = 0
    ACT = 1
    NOT_RUN = 2
    INTERRUPTED = 130
