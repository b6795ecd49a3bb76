"""What operators ask and what the link tells the encoder; no ROS needed."""
from __future__ import annotations

from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.feedback import Feedback, FeedbackInbox, Limits
from gsc_ros.link.session.control import check_request, Control, WHOLE_PICTURE
from gsc_ros.link.wire.datagrams import RequestKind as Ask
import pytest


class Remembered:
    """References that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def acknowledge(self, *sequences: int) -> None:
        """As SenderReferences.acknowledge."""
        self.told.extend(sequences)

    def refresh(self) -> None:
        """As SenderReferences.refresh."""
        self.told.append('refresh')


def test_requests_add_up():
    """Each kind changes its own field; the others stay."""
    control = Control()
    for kind, values in ((Ask.RATE, [500.0]), (Ask.QUALITY, [0.25]), (Ask.PRIORITY, [3.0]),
                         (Ask.ROI, [0.0, 0.25, 0.5, 1.0]), (Ask.PAUSE, []), (Ask.REFRESH, [])):
        control = control.after(kind, values)
    assert control == Control(True, 500.0, 0.25, (0.0, 0.25, 0.5, 1.0), 3.0)
    for kind, values in ((Ask.RATE, [0]), (Ask.QUALITY, [1]), (Ask.PRIORITY, [0]),
                         (Ask.ROI, WHOLE_PICTURE), (Ask.RESUME, [])):
        control = control.after(kind, values)
    assert control == Control()


@pytest.mark.parametrize(('kind', 'values'), [
    (8, []), (Ask.FACTS, []), (-1, []), (Ask.PAUSE, [1.0]), (Ask.RATE, []),
    (Ask.RATE, [-1.0]), (Ask.RATE, [5.0]),
    (Ask.RATE, [float('nan')]), (Ask.QUALITY, [0.0]), (Ask.QUALITY, [1.1]), (Ask.ROI, [0, 0, 1]),
    (Ask.ROI, [0.5, 0, 0.5, 1]), (Ask.ROI, [0, 0, 1, 1.5]), (Ask.PRIORITY, [1e3])])
def test_unsound_requests_are_refused(kind, values):
    """Unknown kinds, wrong counts, values out of range."""
    with pytest.raises(InvalidInputError):
        check_request(kind, values)


def test_single_precision_does_not_refuse_the_limits():
    """0.05 crosses as 0.0500000007, 0.01 as 0.0099999998."""
    assert check_request(Ask.QUALITY, [0.05000000074505806]) is Ask.QUALITY
    assert check_request(Ask.PRIORITY, [0.009999999776482582]) is Ask.PRIORITY


def test_acknowledgements_are_handed_on_once_and_in_order():
    """A refresh forgets what was acknowledged before it, not what came with it."""
    inbox, references = FeedbackInbox(), Remembered()
    inbox.take(Feedback((1, 2)), 0)
    inbox.take(Feedback((65535, 0)), 0)
    assert not inbox.hand_on(references)
    assert references.told == [1, 2, 65535, 0]
    inbox.take(Feedback((1,)), 0)
    inbox.take(Feedback((2,), refresh=True), 0)
    assert inbox.hand_on(references)
    assert not inbox.hand_on(references)
    assert references.told[4:] == ['refresh', 2]


def test_limits_last_until_the_link_is_silent():
    """The newest feedback counts; five seconds after it there is no link."""
    inbox = FeedbackInbox()
    assert inbox.limits(0) is None
    slower = Limits(Control(paused=True, rate=500.0), bytes_per_second=250, overhead_bytes=40)
    inbox.take(Feedback(limits=Limits(bytes_per_second=500)), 0)
    inbox.take(Feedback(limits=slower), 7)
    assert inbox.limits(8) == slower
    assert inbox.limits(5_000_000_006) == slower
    assert inbox.limits(5_000_000_007) is None
