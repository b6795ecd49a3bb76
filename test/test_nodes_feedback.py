"""What operators ask and what the link tells the encoder; no ROS needed."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.session.control import check_request, Control, WHOLE_PICTURE
from gsc_ros.link.wire.datagrams import RequestKind as Ask
from gsc_ros.nodes.feedback import EXPIRY_NS, Feedback
import pytest


def message(**changes: Any) -> SimpleNamespace:
    """Make what looks like a gsc_msgs/StreamFeedback."""
    values: dict[str, Any] = {
        'acknowledged': [], 'refresh': False, 'paused': False, 'bytes_per_second': 0,
        'overhead_bytes': 0, 'fragment_bytes': 0, 'rate': 0.0, 'quality': 1.0,
        'roi': WHOLE_PICTURE, 'priority': 0.0}
    return SimpleNamespace(**{**values, **changes})


class Remembered:
    """References that write down what they are told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def acknowledge(self, sequence: int) -> None:
        """As SenderReferences.acknowledge."""
        self.told.append(sequence)

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
    feedback, references = Feedback(), Remembered()
    feedback.take(message(acknowledged=[1, 2]), 0)
    feedback.take(message(acknowledged=[65535, 0]), 0)
    assert not feedback.hand_on(references)
    assert references.told == [1, 2, 65535, 0]
    feedback.take(message(acknowledged=[1]), 0)
    feedback.take(message(acknowledged=[2], refresh=True), 0)
    assert feedback.hand_on(references)
    assert not feedback.hand_on(references)
    assert references.told[4:] == ['refresh', 2]


def test_advice_lasts_until_the_link_is_silent():
    """The newest message counts; after some seconds without one there is no link."""
    feedback = Feedback()
    assert feedback.advice(0) is None
    feedback.take(message(bytes_per_second=500, overhead_bytes=40), 0)
    feedback.take(message(bytes_per_second=250, overhead_bytes=40, paused=True, rate=500.0), 7)
    advice = feedback.advice(8)
    assert (advice.bytes_per_second, advice.overhead_bytes) == (250, 40)
    assert advice.control == Control(paused=True, rate=500.0)
    assert feedback.advice(7 + EXPIRY_NS) is None
