"""Sealed sessions: how they begin, restarts, replays, forgeries, long runs, no nonce twice."""
from __future__ import annotations

from collections.abc import Callable

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.session.ciphering import (
    BaseSession,
    MOST_ANSWERED,
    RobotSession,
)
from gsc_ros.link.session.plain import PlainSession
from gsc_ros.link.session.replay import ahead, NumberWindow, WINDOW
from gsc_ros.link.session.sealed import NotReadyError, UnknownSessionError
from gsc_ros.link.wire import crypto
from gsc_ros.link.wire.crypto import AuthError, Cipher, Keys, ReplayError, Word
from gsc_ros.link.wire.datagrams import Head, Kind, LinkError, plain_overhead
from hypothesis import given
from hypothesis import strategies as st
import pytest

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
DATA, REPORT = Head(Kind.DATA), Head(Kind.REPORT)
PERIOD_MS = 250


def meet(robot: RobotSession, base: BaseSession) -> None:
    """Let a robot begin a session with this base station."""
    robot.open(base.answer(base.read_hello(robot.hello()), PERIOD_MS))
    assert robot.fresh
    assert base.open(robot.seal(DATA, b'hello')[1]).body == b'hello'
    assert base.fresh


def pair(robot_boot: int = 1000, base_boot: int = 77) -> tuple[RobotSession, BaseSession]:
    robot, base = RobotSession(KEY, robot_boot), BaseSession(KEY, base_boot)
    meet(robot, base)
    return robot, base


def works(robot: RobotSession, base: BaseSession) -> bool:
    """Tell whether both hear each other."""
    return (base.open(robot.seal(DATA, b'up')[1]).body == b'up'
            and robot.open(base.seal(REPORT, b'down')[1]).body == b'down')


def test_both_directions_and_seventeen_bytes() -> None:
    """A key costs 21 bytes of framing where none costs 4, 6 with a check sum."""
    robot, base = pair()
    for body in (b'', b'x', bytes(1400)):
        sealed = robot.seal(Head(Kind.DATA, fragmented=True), body)[1]
        assert len(sealed) - len(body) == 21
        assert [plain_overhead(kind) for kind in (Kind.DATA, Kind.INFO)] == [4, 6]
        opened = base.open(sealed)
        assert (opened.body, opened.run) == (body, 1000)
        assert opened.head.fragmented
        assert not base.fresh
        assert robot.open(base.seal(REPORT, body)[1]).body == body


def test_how_long_the_beginning_is() -> None:
    robot, base = RobotSession(KEY, 1), BaseSession(KEY, 2)
    hello = robot.hello()
    answer = base.answer(base.read_hello(hello), PERIOD_MS)
    robot.open(answer)
    with pytest.raises(UnknownSessionError) as caught:
        BaseSession(KEY, 3).open(robot.seal(DATA, b'')[1])
    wanted = base.want_hello(caught.value.sealed)
    assert [len(data) for data in (hello, answer, wanted)] == [29, 31, 21]
    assert robot.period_ms == 250


def test_nothing_can_be_sealed_before_there_is_a_session() -> None:
    with pytest.raises(NotReadyError):
        RobotSession(KEY, 1).seal(DATA, b'')
    base = BaseSession(KEY, 1)
    with pytest.raises(NotReadyError):
        base.seal(REPORT, b'')
    base.answer(base.read_hello(RobotSession(KEY, 5).hello()), PERIOD_MS)
    with pytest.raises(NotReadyError):  # an answered robot may be a recording
        base.seal(REPORT, b'')


def test_either_end_may_be_restarted_at_any_time() -> None:
    robot, base = pair()
    for boot in range(5):
        base = BaseSession(KEY, 5000 * boot)
        meet(robot, base)
        robot = RobotSession(KEY, 7000 * boot + 1)
        meet(robot, base)
        assert works(robot, base)


def test_a_restarted_base_station_asks_for_hello() -> None:
    """And only the robot whose datagram it could not open takes it for itself."""
    robot, base = pair()
    other = pair(5)[0]
    base = BaseSession(KEY, 78)
    with pytest.raises(UnknownSessionError) as caught:
        base.open(robot.seal(DATA, b'lost')[1])
    wanted = base.want_hello(caught.value.sealed)
    with pytest.raises(AuthError):
        other.open(wanted)
    assert not other.hello_wanted
    robot.open(wanted)
    assert robot.hello_wanted
    meet(robot, base)
    assert not robot.hello_wanted
    with pytest.raises(AuthError):  # recorded: it is about the session before
        robot.open(wanted)


def test_every_altered_or_cut_datagram_is_refused() -> None:
    robot, base = RobotSession(KEY, 1000), BaseSession(KEY, 77)
    hello = robot.hello()
    answer = base.answer(base.read_hello(hello), PERIOD_MS)
    for good, read in ((hello, base.read_hello), (answer, robot.open)):
        check_all_altered(good, read)
    robot.open(answer)
    meet(robot, base)
    good = robot.seal(DATA, b'a picture')[1]
    check_all_altered(good, base.open)
    assert base.open(good).body == b'a picture'


def check_all_altered(good: bytes, read: Callable[[bytes], object]) -> None:
    """Every bit turned, every length cut."""
    for at in range(len(good)):
        for bit in range(8):
            with pytest.raises(LinkError):
                read(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1:])
        with pytest.raises(LinkError):
            read(good[:at])


def test_another_key_or_none_is_refused() -> None:
    robot, base = pair()
    stranger = RobotSession(OTHER_KEY, 5)
    with pytest.raises(AuthError, match='does not prove the key'):
        base.read_hello(stranger.hello())
    with pytest.raises(AuthError):
        stranger.open(base.answer(Word(5, 0), PERIOD_MS))
    with pytest.raises(AuthError, match='not sealed'):
        base.open(PlainSession(3).seal(DATA, b'body')[1])
    with pytest.raises(AuthError, match='no key'):
        PlainSession(3).open(robot.seal(DATA, b'body')[1])
    assert works(robot, base)


def test_what_one_end_said_is_not_taken_by_itself() -> None:
    """Datagrams thrown back at their sender."""
    robot, base = pair()
    for seal, own in ((robot.seal, robot), (base.seal, base)):
        with pytest.raises(AuthError):
            own.open(seal(DATA, b'mirror')[1])
    with pytest.raises(LinkError):
        robot.open(robot.hello())


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
        assert works(new_robot, new_base)


def test_an_unheard_datagram_of_an_older_session_is_never_taken() -> None:
    """The link had lost it, somebody kept it: neither a later session nor run takes it."""
    robot, base = pair()
    kept = [robot.seal(DATA, b'kept')[1] for _ in range(3)]
    meet(robot, base)
    for data in kept:
        with pytest.raises(AuthError):
            base.open(data)
    kept += [robot.seal(DATA, b'kept')[1] for _ in range(3)]
    robot = RobotSession(KEY, 2000)
    meet(robot, base)
    for data in kept:
        with pytest.raises(AuthError):
            base.open(data)
    assert works(robot, base)


def test_a_session_that_was_answered_before_the_present_one_never_begins() -> None:
    """A robot was killed right after it had spoken, and what it said was held back."""
    base, killed, robot = BaseSession(KEY, 3), RobotSession(KEY, 1), RobotSession(KEY, 2)
    killed.open(base.answer(base.read_hello(killed.hello()), PERIOD_MS))
    held = killed.seal(DATA, b'held back')[1]
    meet(robot, base)
    with pytest.raises(AuthError):
        base.open(held)
    assert works(robot, base)


def test_old_answers_and_hellos_begin_nothing() -> None:
    """An answer holds for one HELLO; a recorded HELLO may be answered, the session goes on."""
    robot, base = RobotSession(KEY, 1), BaseSession(KEY, 2)
    hellos, answers = [], []
    for _ in range(5):
        hellos.append(robot.hello())
        answers.append(base.answer(base.read_hello(hellos[-1]), PERIOD_MS))
        robot.open(answers[-1])
        assert works(robot, base)
    for hello, answer in zip(hellos, answers, strict=True):
        base.answer(base.read_hello(hello), PERIOD_MS)
        with pytest.raises((ReplayError, AuthError)):
            robot.open(answer)
        assert works(robot, base)


def test_a_lost_answer_is_given_again() -> None:
    """The same, byte for byte: there is no second session for it."""
    robot, base = RobotSession(KEY, 1), BaseSession(KEY, 2)
    first = base.answer(base.read_hello(robot.hello()), PERIOD_MS)
    again = base.answer(base.read_hello(robot.hello()), PERIOD_MS)
    assert first == again
    robot.open(again)
    with pytest.raises(ReplayError):
        robot.open(first)
    assert works(robot, base)


def test_robots_that_are_answered_and_go_away_cost_little() -> None:
    robot, base = pair()
    for run in range(1000):
        base.answer(Word(run, 0), PERIOD_MS)
    assert len(base._answered) == MOST_ANSWERED
    assert works(robot, base)


def test_numbers_go_beyond_sixteen_bits() -> None:
    """A session is never renewed: 200,000 datagrams, with long gaps."""
    robot, base = pair()
    for count in range(200):
        for _ in range(1000):
            data = robot.seal(DATA, b'')[1]
            if count % 10 == 0:
                base.open(data)
        if count % 10 == 0:
            with pytest.raises(ReplayError):
                base.open(data)
    assert works(robot, base)


def test_no_nonce_is_used_for_two_texts_whatever_restarts(
        monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
    real_init, real_encrypt = Cipher.__init__, Cipher.encrypt

    def init(self: Cipher, key: bytes, session_id: int) -> None:
        self.secret = key  # type: ignore[attr-defined]
        real_init(self, key, session_id)

    def encrypt(self: Cipher, nonce: bytes, text: bytes, clear: bytes) -> bytes:
        secret = self.secret  # type: ignore[attr-defined]
        assert seen.setdefault((secret, nonce), (text, clear)) == (text, clear)
        return real_encrypt(self, nonce, text, clear)

    monkeypatch.setattr(Cipher, '__init__', init)
    monkeypatch.setattr(Cipher, 'encrypt', encrypt)
    robot, base = pair()
    for run in range(40):
        if run % 3 == 0:
            base = BaseSession(KEY, run)
        elif run % 3 == 1:
            robot = RobotSession(KEY, 1001 + run)
        meet(robot, base)
        for number in range(5):
            base.open(robot.seal(DATA, b'x%d' % number)[1])
            robot.open(base.seal(REPORT, b'y%d' % number)[1])
    assert len(seen) > 400


def test_words_take_twelve_bytes_and_differ_by_run_and_count() -> None:
    words = [Word(run, count) for run in (0, 1, 2**64 - 1) for count in (0, 1, 2**32 - 1)]
    assert {len(word.packed) for word in words} == {12}
    keys = Keys(KEY)
    ids = {keys.write_answer(robot, base, 0) for robot in words for base in words}
    assert len(ids) == 81


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
    assert crypto.KEY_BYTES == 32
    with pytest.raises(InvalidInputError, match='key'):
        RobotSession(b'short', 1)
