"""systemd's manager on D-Bus: the few calls that a scope needs. man 5 org.freedesktop.systemd1"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from jeepney import DBusAddress, DBusErrorResponse, MatchRule, Properties, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import unwrap_msg

from aethel_common.errors import AethelError, AlreadyExists, NotFound, NotPermitted, TimedOut, Unavailable
from aethel_run.cgroup.managers.properties import Property

SYSTEM_BUS: Final = "unix:path=/run/dbus/system_bus_socket"
_SECONDS: Final = 30.0
_NAME: Final = "org.freedesktop.systemd1"
_MANAGER: Final = DBusAddress("/org/freedesktop/systemd1", bus_name=_NAME, interface=f"{_NAME}.Manager")
_JOB_REMOVED: Final = MatchRule(
    type="signal", interface=f"{_NAME}.Manager", member="JobRemoved", path="/org/freedesktop/systemd1"
)
_ABSENT: Final = frozenset(
    f"org.freedesktop.DBus.Error.{name}" for name in ("ServiceUnknown", "NameHasNoOwner", "Disconnected", "NoReply")
)


@contextmanager
def systemd(address: str) -> Iterator[Systemd1]:
    """Talk to the systemd of that bus. Raises Unavailable when there is none."""
    try:
        connection = open_dbus_connection(address)
    except (OSError, RuntimeError) as error:
        raise _nobody(address, error) from error
    try:
        yield Systemd1(connection, address)
    finally:
        connection.close()


def _nobody(address: str, why: object) -> Unavailable:
    which = "system bus" if address == SYSTEM_BUS else "bus"
    return Unavailable(
        f"no systemd answers on the {which} at {address}: {why}",
        hint="without systemd, use --cgroup-manager cgroupfs",
    )


class Systemd1:
    """org.freedesktop.systemd1.Manager"""

    def __init__(self, connection: DBusConnection, address: str) -> None:
        self._connection = connection
        self._address = address
        self._is_told_of_jobs = False

    def version(self) -> int:
        """Such as 252."""
        match = re.search(r"[0-9]+", self._property("Version"))
        return int(match[0]) if match else 0

    def control_group(self) -> str:
        """The manager's own cgroup, below which its units are."""
        return self._property("ControlGroup")

    def start_transient(self, unit: str, properties: Iterable[Property]) -> None:
        """Make a unit with all its properties at once; returns once it stands.

        Raises AlreadyExists, NotPermitted, AethelError with systemd's own words, TimedOut.
        """
        self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", (unit, "fail", list(properties), []), unit)

    def set_properties(self, unit: str, properties: Iterable[Property]) -> None:
        """Change some until the next boot."""
        self._call("SetUnitProperties", "sba(sv)", (unit, True, list(properties)))

    def attach(self, unit: str, pid: int) -> None:
        """Move a process in."""
        self._call("AttachProcessesToUnit", "ssau", (unit, "", [pid]))

    def stop(self, unit: str) -> None:
        """End it, and what is left in it. Nothing when it is not there."""
        try:
            self._job("StopUnit", "ss", (unit, "replace"), unit)
        except NotFound:
            pass

    def reset_failed(self, unit: str) -> None:
        """Have systemd forget that it failed, and so that it was."""
        try:
            self._call("ResetFailedUnit", "s", (unit,))
        except NotFound:
            pass

    def _job(self, method: str, signature: str, body: tuple[object, ...], unit: str) -> None:
        """Call, and wait for the job that it starts."""
        self._be_told_of_jobs()
        with self._connection.filter(_JOB_REMOVED, bufsize=1024) as ended:
            job = self._call(method, signature, body)[0]
            result = self._result(ended, job, unit)
        if result != "done":
            raise AethelError(f"systemd: {method} of {unit} ended with {result}", hint=f"journalctl -u {unit}")

    def _be_told_of_jobs(self) -> None:
        """Before the first is started, and once: systemd refuses a client that subscribes again."""
        if not self._is_told_of_jobs:
            Proxy(message_bus, self._connection, timeout=_SECONDS).AddMatch(_JOB_REMOVED)
            self._call("Subscribe", "", ())
            self._is_told_of_jobs = True

    def _result(self, ended: Any, job: str, unit: str) -> str:
        while True:
            try:
                message = self._connection.recv_until_filtered(ended, timeout=_SECONDS)
            except TimeoutError as error:
                raise TimedOut(f"systemd did not settle {unit} within {_SECONDS:g} s") from error
            _, path, _, result = message.body
            if path == job:
                return str(result)

    def _property(self, name: str) -> str:
        return str(self._ask(Properties(_MANAGER).get(name))[0][1])

    def _call(self, method: str, signature: str, body: tuple[object, ...]) -> Any:
        return self._ask(new_method_call(_MANAGER, method, signature or None, body))

    def _ask(self, message: Any) -> Any:
        try:
            return unwrap_msg(self._connection.send_and_get_reply(message, timeout=_SECONDS))
        except DBusErrorResponse as error:
            raise self._translated(error) from error
        except TimeoutError as error:
            raise TimedOut(f"systemd did not answer within {_SECONDS:g} s") from error
        except OSError as error:
            raise _nobody(self._address, error) from error

    def _translated(self, error: DBusErrorResponse) -> AethelError:
        text = f"systemd: {error.data[0] if error.data else error.name}"
        if error.name in _ABSENT or str(error.name).startswith("org.freedesktop.DBus.Error.Spawn"):
            return _nobody(self._address, error.data[0] if error.data else error.name)
        if error.name == f"{_NAME}.NoSuchUnit":
            return NotFound(text)
        if error.name == f"{_NAME}.UnitExists":
            return AlreadyExists(text)
        if error.name in ("org.freedesktop.DBus.Error.AccessDenied", f"{_NAME}.AccessDenied"):
            return NotPermitted(text)
        return AethelError(text)
