"""Sealed sessions: restarts, replays, forgeries, wraps, and no nonce twice."""
from __future__ import annotations

from collections.abc import Callable

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.session import ciphering as sessions
from gsc_ros.link.session.ciphering import BaseSession, NotReadyError, RobotSession
from gsc_ros.link.session.replay import ahead, NumberWindow, WINDOW
from gsc_ros.link.wire import crypto
from gsc_ros.link.wire.crypto import AuthError, ReplayError
from gsc_ros.link.wire.datagrams import Head, Kind, LinkError, plain_overhead
from hypothesis import given
from hypothesis import strategies as st
import pytest

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
DATA, REPORT = Head(Kind.DATA), Head(Kind.REPORT)


def meet(robot: RobotSession, base: BaseSession) -> None:
    """Let a robot that knows no base station, or another, find this one."""
    if robot.ready:
        with pytest.raises(AuthError):
            base.open(robot.seal(DATA, b'lost')[1])
    else:
        base.open(robot.hello())
    robot.open(base.answer(REPORT, b'first')[1])
    assert base.open(robot.seal(DATA, b'hello')[1]).body == b'hello'


def pair(robot_boot: int = 1000, base_boot: int = 77) -> tuple[RobotSession, BaseSession]:
    robot, base = RobotSession(KEY, robot_boot), BaseSession(KEY, base_boot)
    meet(robot, base)
    return robot, base


def test_both_directions_and_twenty_bytes() -> None:
    robot, base = pair()
    for body in (b'', b'x', bytes(1400)):
        sealed = robot.seal(Head(Kind.DATA, fragmented=True), body)[1]
        assert len(sealed) - len(body) - plain_overhead(Kind.DATA) == 20
        opened = base.open(sealed)
        assert opened.body == body
        assert opened.head.fragmented
        assert robot.open(base.seal(REPORT, body)[1]).body == body


def test_nothing_can_be_sealed_before_the_other_side_is_known() -> None:
    with pytest.raises(NotReadyError):
        RobotSession(KEY, 1).seal(DATA, b'')
    with pytest.raises(NotReadyError):
        BaseSession(KEY, 1).seal(REPORT, b'')
    with pytest.raises(NotReadyError):
        BaseSession(KEY, 1).answer(REPORT, b'')


def test_the_word_of_a_restarted_side_is_learned_from_one_datagram() -> None:
    robot, base = pair()
    for boot in range(5):
        base = BaseSession(KEY, 5000 * boot)
        meet(robot, base)
        robot = RobotSession(KEY, 7000 * boot)
        meet(robot, base)
        assert robot.open(base.seal(REPORT, b'r')[1]).body == b'r'


def test_a_robot_that_starts_again_with_the_same_boot_id_is_heard() -> None:
    robot, base = pair(robot_boot=1000)
    robot = RobotSession(KEY, 1000)
    meet(robot, base)


def test_every_altered_or_cut_datagram_is_refused() -> None:
    robot, base = pair()
    good = robot.seal(DATA, b'a picture')[1]
    for at in range(len(good)):
        for bit in range(8):
            with pytest.raises(LinkError):
                base.open(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1:])
        with pytest.raises(LinkError):
            base.open(good[:at])
    assert base.open(good).body == b'a picture'


def test_another_key_or_none_is_refused() -> None:
    robot, base = pair()
    stranger = RobotSession(OTHER_KEY, 5)
    base.open(stranger.hello())
    answer = base.answer(REPORT, b'')[1]
    with pytest.raises(AuthError):
        stranger.open(answer)
    with pytest.raises(AuthError, match='not sealed'):
        base.open(sessions.PlainSession(3).seal(DATA, b'body')[1])
    with pytest.raises(AuthError, match='no key'):
        sessions.PlainSession(3).open(robot.seal(DATA, b'body')[1])
    assert base.open(robot.seal(DATA, b'still there')[1]).body == b'still there'


def test_replays_are_refused_in_this_session_and_after_each_restart() -> None:
    robot, base = pair()
    recorded = [robot.seal(DATA, bytes([value]))[1] for value in range(10)]
    reports = [base.seal(REPORT, bytes([value]))[1] for value in range(10)]
    for data in recorded:
        base.open(data)
    for data in reports:
        robot.open(data)
    meet_again: list[Callable[[], tuple[RobotSession, BaseSession]]] = [
        lambda: (robot, base), lambda: (robot, BaseSession(KEY, 4)),
        lambda: (RobotSession(KEY, 9), base)]
    for again in meet_again:
        new_robot, new_base = again()
        if (new_robot, new_base) != (robot, base):
            meet(new_robot, new_base)
        for data in recorded:
            with pytest.raises((ReplayError, AuthError)):
                new_base.open(data)
        for data in reports:
            with pytest.raises((ReplayError, AuthError)):
                new_robot.open(data)
        assert new_base.open(new_robot.seal(DATA, b'on')[1]).body == b'on'


def test_whoever_calls_in_vain_does_not_disturb_the_session() -> None:
    robot, base = pair()
    for word in range(100):
        base.open(crypto.write_hello(word * 99_991))
        base.answer(REPORT, b'')
        assert base.open(robot.seal(DATA, b'on')[1]).body == b'on'
        assert robot.open(base.seal(REPORT, b'on')[1]).body == b'on'


def test_a_forced_new_word_is_followed_by_both() -> None:
    robot, base = pair()
    for _ in range(20):  # somebody sends what does not open, under the robot's own word
        word = robot.hello()
        base.open(word)
        robot.open(base.answer(REPORT, b'')[1])
        assert base.open(robot.seal(DATA, b'on')[1]).body == b'on'
        assert robot.open(base.seal(REPORT, b'on')[1]).body == b'on'


@pytest.mark.parametrize('boot', [0, 2**32 - 1, 65_535])
def test_numbers_and_words_wrap(monkeypatch: pytest.MonkeyPatch, boot: int) -> None:
    monkeypatch.setattr(sessions, 'NUMBERS_PER_WORD', 50)
    robot, base = pair(boot, boot)
    used = set()
    for count in range(1000):
        data = robot.seal(DATA, b'picture')[1]
        used.add(data[1:7])  # word and number
        assert base.open(data).body == b'picture'
        with pytest.raises(ReplayError):
            base.open(data)
        if count % 3 == 0:
            report = base.seal(REPORT, b'report')[1]
            used.add(report[1:7] + b'base')
            assert robot.open(report).body == b'report'
    assert len(used) == 1000 + 334


def test_no_nonce_is_used_twice_whatever_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where each run of the robot draws the same random number."""
    seen = set()
    real = crypto.Cipher.seal

    def seal(self: crypto.Cipher, head: Head, word: int, number: int, body: bytes) -> bytes:
        assert (self.secret, number) not in seen  # type: ignore[attr-defined]
        seen.add((self.secret, number))  # type: ignore[attr-defined]
        return real(self, head, word, number, body)

    real_init = crypto.Cipher.__init__

    def init(self: crypto.Cipher, key: bytes) -> None:
        self.secret = key  # type: ignore[attr-defined]
        real_init(self, key)

    monkeypatch.setattr(crypto.Cipher, 'seal', seal)
    monkeypatch.setattr(crypto.Cipher, '__init__', init)
    robot, base = pair()
    for run in range(40):
        if run % 3 == 0:
            base = BaseSession(KEY, run)
        else:
            robot = RobotSession(KEY, 1000)
        meet(robot, base)
        for _ in range(5):
            base.open(robot.seal(DATA, b'x')[1])
            robot.open(base.seal(REPORT, b'x')[1])


@given(st.integers(0, 65535), st.lists(st.integers(-40, 60), max_size=200))
def test_the_window_accepts_each_number_once(start: int, steps: list[int]) -> None:
    window, seen, highest = NumberWindow(), set(), None
    position = 10**6
    for step in steps:
        position += step
        number = (start + position) % 65536
        fresh = position not in seen and (highest is None or highest - position < WINDOW)
        assert window.add(number) == fresh
        seen.add(position)
        highest = position if highest is None else max(highest, position)


def test_the_window_refuses_what_is_too_old() -> None:
    window = NumberWindow()
    assert window.add(5000)
    assert window.add(5000 - WINDOW + 1)
    assert not window.add(5000 - WINDOW)
    assert ahead(2, 65534) == 4


def test_keys_have_32_bytes() -> None:
    with pytest.raises(InvalidInputError, match='key'):
        RobotSession(b'short', 1)
