"""What is written of a story and of a plan; and that every step can say when it applies."""

from __future__ import annotations

import os

import pytest

from aethel_common.errors import AethelError, InvalidArgument, StepFailed
from aethel_common.linux.trace import Record, trace
from aethel_run import explain, story
from aethel_run.explain import Line, Narrator
from aethel_run.init import protections
from aethel_run.init.plan import JOIN_STEPS, SETUP_STEPS, START_STEPS
from aethel_run.lifecycle import plan
from aethel_run.spec.template import default_spec, rootless_spec
from aethel_run.story import AnyEvent, Call, Failed, Omitted, Step, Teller, act

GOLDEN = """\
  M3 write_maps                 Tell the kernel.  [user_namespaces(7)]
          openat(AT_FDCWD, "/proc/7/uid_map", O_WRONLY|O_CLOEXEC) = 6  33 µs
          write(6</proc/7/uid_map>, "0 300000 65536\\n", 15) = 15  5 µs
  I9 pivot_into_rootfs          Swap the root.  [pivot_root(2)]
          (M4) setns(9<net:[4026532001]>, CLONE_NEWNET) = 0  2 µs
          pivot_root(".", ".") = -1 EINVAL  1 µs
  I9 pivot_into_rootfs          FAILED: pivot_root(2): Invalid argument: '.'
 I20 mask_paths                 LEFT OUT, as --without asked: Cover what tells about the host.
 I37 execute                    Become the user's program.  [execve(2)]
          umask(022) = 077  0 µs
          execve("/bin/sh", ["sh"], /* 2 variables */)
"""


def call(step: str, name: str, *arguments: str, result: int | None = 0, errno: str = "", took: int = 0) -> Call:
    return Call(step=step, at=1, name=name, arguments=arguments, result=result, errno=errno, took=took)


def step(place: str, name: str, sentence: str, man: str) -> Step:
    return Step(step=place, at=1, name=name, sentence=sentence, man=man)


STORY: list[AnyEvent] = [
    step("M3", "write_maps", "Tell the kernel.", "user_namespaces(7)"),
    call("M3", "openat", "AT_FDCWD", '"/proc/7/uid_map"', "O_WRONLY|O_CLOEXEC", result=6, took=33_999),
    call("M3", "write", "6</proc/7/uid_map>", '"0 300000 65536\\n"', "15", result=15, took=5_000),
    step("I9", "pivot_into_rootfs", "Swap the root.", "pivot_root(2)"),
    call("M4", "setns", "9<net:[4026532001]>", "CLONE_NEWNET", took=2_000),
    call("I9", "pivot_root", '"."', '"."', result=-1, errno="EINVAL", took=1_000),
    Failed(step="I9", at=1, name="pivot_into_rootfs", text="pivot_root(2): Invalid argument: '.'", errno=22),
    Omitted(step="I20", at=1, name="mask_paths", sentence="Cover what tells about the host."),
    step("I37", "execute", "Become the user's program.", "execve(2)"),
    call("I37", "umask", "022", result=0o77),
    call("I37", "execve", '"/bin/sh"', '["sh"]', "/* 2 variables */", result=None),
]


def text(events: list[AnyEvent]) -> str:
    narrator = Narrator()
    return b"".join(map(narrator, events)).decode()


def test_a_story_as_text() -> None:
    assert text(STORY) == GOLDEN


def test_a_story_as_json_comes_back() -> None:
    lines = b"".join(map(story.encode, STORY)).splitlines()
    assert [story.decode(line) for line in lines] == STORY
    assert lines[0].startswith(b'{"event":"step","step":"M3"')


def test_many_calls_of_one_name_are_cut_short_in_each_step() -> None:
    many = [call("I1", "prctl", str(number)) for number in range(9)]
    shown = text([step("I1", "drop", "Drop.", "prctl(2)"), *many, call("I1", "capset"), *many[:2]])
    assert shown.count("prctl(") == 1 + 4 + 1 + 2
    assert "... and more of prctl(2)\n          capset() = 0  0 µs\n          prctl(0)" in shown


def test_what_happened_at_the_same_time_is_put_in_order_for_reading() -> None:
    ordered = text(explain.by_step([*STORY[:4], call("M3", "close", "6"), *STORY[4:]]))
    assert ordered.index("close(6)") < ordered.index("pivot_into_rootfs")
    assert "(M3)" not in ordered


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="xml"):
        explain.form("xml")


@act(man="chdir(2)")
def stay(path: str) -> str:
    """Go nowhere."""
    os.stat(path)
    return path


def told(action: object) -> tuple[list[AnyEvent], BaseException | None]:
    assert callable(action)
    reader, writer = os.pipe()
    failure = None
    with story.listening(Teller(writer, "json", story.encode, {"stay": "M1"})):
        try:
            action()
        except (OSError, AethelError) as error:
            failure = error
    os.close(writer)
    with open(reader, "rb") as file:
        return [story.decode(line) for line in file], failure


def test_an_act_tells_of_itself_and_returns_what_it_returns() -> None:
    assert stay("/") == "/"
    events, _ = told(lambda: stay("/"))
    assert [(type(event), event.step) for event in events] == [(Step, "M1")]
    assert isinstance(events[0], Step)
    assert (events[0].name, events[0].sentence, events[0].man) == ("stay", "Go nowhere.", "chdir(2)")


def test_an_act_that_fails_says_so_and_still_fails() -> None:
    events, failure = told(lambda: stay("/nope"))
    assert isinstance(failure, FileNotFoundError)
    assert isinstance(events[-1], Failed)
    assert (events[-1].errno, events[-1].text) == (2, "No such file or directory: '/nope'")


def test_what_is_called_between_the_acts_is_not_told() -> None:
    def action() -> None:
        assert trace.sink is not None
        trace.sink(Record("umask", ("022",), 0, 0, 1))
        stay("/")
        trace.sink(Record("umask", ("022",), 0, 0, 1))

    events, _ = told(action)
    assert [type(event) for event in events] == [Step]


def test_the_errno_of_a_step_that_failed_is_told() -> None:
    def action() -> None:
        teller = story.telling()
        assert teller is not None
        teller.failed("x", StepFailed("x: no", step="x", errno=22))

    events, _ = told(action)
    assert isinstance(events[0], Failed)
    assert events[0].errno == 22


def test_a_plan_as_text() -> None:
    line = Line(step="I7", name="n", sentence="Do.", man="n(2)", applies=True, only="", without="")
    shown = explain.plan_text(
        [
            line,
            Line(step="I8", name="m", sentence="Mask.", man="m(2)", applies=True, only="", without="all is seen"),
            Line(
                step="M1", name="o", sentence="Other.", man="o(2)", applies=False, only="with linux.sysctl", without=""
            ),
        ]
    )
    assert shown == (
        "  I7 n                          Do.  [n(2)]\n"
        "  I8 m                          Mask.  [m(2)]  {--without}\n"
        "  M1 o                          -- not here: only with linux.sysctl\n"
    )


def test_every_step_and_act_says_what_it_does_where_to_read_and_when_it_applies() -> None:
    entries = [entry.does for entry in plan.RUNTIME]
    assert len({does.name for does in entries}) == len(entries)
    never, always = plan.lines(plan.RUNTIME, rootless_spec()), plan.lines(plan.RUNTIME, default_spec())
    for does in (*entries, *JOIN_STEPS):
        assert does.sentence.endswith("."), does.name
        assert "(" in does.man, does.name
    for one, other in zip(never, always, strict=True):
        assert one.only or (one.applies and other.applies), f"{one.name} has no `only`"


def test_places_count_each_actor_for_itself() -> None:
    places = plan.places(plan.RUNTIME)
    assert places["make_cgroup"] == "M1"
    assert places[SETUP_STEPS[0].name] == "I1"
    assert places["execute"] == f"I{len(SETUP_STEPS) + len(START_STEPS)}"


def test_what_may_be_left_out_is_in_the_plan_and_in_one_list_only() -> None:
    steps = {step.name for step in (*SETUP_STEPS, *START_STEPS)}
    lists = (protections.ANYWHERE, protections.IN_A_USER_NAMESPACE, protections.NEVER)
    named = [name for names in lists for name in names]
    assert set(named) <= steps
    assert len(named) == len(set(named))
