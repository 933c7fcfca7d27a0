"""An AethelError as a gRPC status and back: one table, both directions.

The status carries a google.rpc.ErrorInfo (domain "aethel"): its reason is the class in CAPITALS, its metadata the hint
and, for a set-up step, the step and errno.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from aethel_common import errors
from aethel_common.errors import AethelError

DOMAIN = "aethel"
DETAILS_KEY = "grpc-status-details-bin"

CODES: dict[type[AethelError], grpc.StatusCode] = {
    errors.AethelError: grpc.StatusCode.INTERNAL,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidSpec: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    errors.InUse: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.NotPermitted: grpc.StatusCode.PERMISSION_DENIED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DaemonUnreachable: grpc.StatusCode.UNAVAILABLE,
    errors.TimedOut: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    errors.Corrupt: grpc.StatusCode.DATA_LOSS,
    errors.StepFailed: grpc.StatusCode.INTERNAL,
    errors.CannotExecute: grpc.StatusCode.FAILED_PRECONDITION,
    errors.CommandNotFound: grpc.StatusCode.FAILED_PRECONDITION,
}


def reason(kind: type[AethelError]) -> str:
    """`CommandNotFound` -> `COMMAND_NOT_FOUND`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).upper()


_CLASSES = {reason(kind): kind for kind in CODES}


def code_of(error: AethelError) -> grpc.StatusCode:
    """The gRPC status code of an error."""
    return CODES[type(error)]


def to_metadata(error: AethelError) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carries the error whole."""
    info = ErrorInfo(reason=reason(type(error)), domain=DOMAIN)
    if error.hint:
        info.metadata["hint"] = error.hint
    if isinstance(error, errors.StepFailed):
        info.metadata["step"] = error.step
        info.metadata["errno"] = str(error.errno)
    status = Status(code=code_of(error).value[0], message=error.message)
    status.details.add().Pack(info)
    return ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc(failure: grpc.RpcError) -> AethelError:
    """The error that the daemon raised; a failure of the connection itself becomes DaemonUnreachable or Unavailable."""
    info = _error_info(failure)
    message = str(failure.details() or "")
    if info is None:
        return _without_details(failure, message)
    kind = _CLASSES.get(info.reason, AethelError)
    hint = info.metadata.get("hint", "")
    if kind is errors.StepFailed:
        return errors.StepFailed(
            message,
            hint=hint,
            step=info.metadata.get("step", ""),
            errno=int(info.metadata.get("errno", "0")),
        )
    return kind(message, hint=hint)


def _error_info(failure: grpc.RpcError) -> ErrorInfo | None:
    metadata: Iterable[tuple[str, bytes]] = failure.trailing_metadata() or ()  # type: ignore[assignment]
    for key, value in metadata:
        if key != DETAILS_KEY:
            continue
        for detail in Status.FromString(value).details:
            info = ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
    return None


def _without_details(failure: grpc.RpcError, message: str) -> AethelError:
    code = failure.code()
    if code == grpc.StatusCode.UNAVAILABLE:
        return errors.DaemonUnreachable(message)
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return errors.TimedOut(message or "the daemon did not answer in time")
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return errors.Unsupported(message or "this daemon does not know that call")
    return AethelError(message or f"the call failed: {code.name.lower()}")
