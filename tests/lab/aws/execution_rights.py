"""What the tasks of a state machine need, judged by its role's policies; a role that has none is not judged.

Source: AWS Step Functions developer guide ("IAM policies for integrated services": what Lambda takes, and what a nested
execution does that is waited for; "Error names": States.Permissions).
"""

from collections.abc import Iterator

from ministack.services import stepfunctions

from lab.aws import ministack as cloud
from lab.aws import ministack_images as kept
from lab.aws.execution_patches import running
from lab.aws.ministack import Record

RULE = "StepFunctionsGetEventsForStepFunctionsExecutionRule"
"""By which Step Functions notices that a nested execution has ended."""


def install() -> None:
    """Let a task fail whose state machine's role does not allow what it does."""
    invoke = stepfunctions._invoke_resource

    def judged(resource: str, given: Record) -> Record:
        for action, arn in _needs(resource, given):
            _require(action, arn)
        answered: Record = invoke(resource, given)
        return answered

    stepfunctions._invoke_resource = judged


def _needs(resource: str, given: Record) -> Iterator[tuple[str, str]]:
    """The actions that a task needs, each with the ARN of what it is about."""
    if ":states:::lambda:invoke" in resource:
        yield "lambda:InvokeFunction", given["FunctionName"]
    elif ":states:::states:startExecution.sync" in resource:
        machine = given["StateMachineArn"]
        yield "states:StartExecution", machine
        nested = f"{machine.replace(':stateMachine:', ':execution:')}:{given['Name']}"
        scope = cloud.current_scope()
        for action in ("states:DescribeExecution", "states:StopExecution"):
            yield action, nested
        for action in ("events:PutTargets", "events:PutRule", "events:DescribeRule"):
            yield action, f"arn:aws:events:{scope.region}:{scope.account}:rule/{RULE}"


def _require(action: str, arn: str) -> None:
    """Raise what the task fails with if the role of the state machine that runs does not allow an action."""
    scope = cloud.current_scope()
    machine = stepfunctions._executions[running.get()]["stateMachineArn"]
    role = stepfunctions._state_machines[machine]["roleArn"].rpartition("/")[2]
    statements = kept.role_statements(role, scope)
    allowed, _ = kept.judge(statements, {"action": action, "resource": arn, "request_tags": {}, "context": {}}, scope)
    if statements and not allowed:
        words = f"{role} is not authorized to perform: {action} on resource: {arn}"
        raise stepfunctions._ExecutionError("States.Permissions", words)
