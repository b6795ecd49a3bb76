"""The base station's side without ROS, with a stand-in for the decoder."""
from __future__ import annotations

from typing import Any

from gsc_ros.codec.bitstream import CoderId, pack, Packet
from gsc_ros.codec.errors import InvalidInputError, PacketError
from gsc_ros.codec.references import MissingReferenceError
from gsc_ros.receiver import Receiver, RefreshNeeded, Refused, Shown, View
import pytest

SECOND_NS = 1_000_000_000
PLAIN = View(generate=False)


class StandInDecoder:
    """Notes what it is asked for; ``broken`` maps sequence numbers to what decoding raises."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.followed: list[int] = []
        self.broken: dict[int, Exception] = {}

    def decode(self, packet: Packet, **how: Any) -> Any:
        """As SemanticDecoder.decode; the picture is the number of the packet."""
        self.follow(packet, how['references'])
        self.shown.append(self.followed.pop())
        return packet.sequence

    def follow(self, packet: Packet, references: Any) -> None:
        """As SemanticDecoder.follow."""
        if packet.sequence in self.broken:
            raise self.broken[packet.sequence]
        self.followed.append(packet.sequence)


@pytest.fixture
def decoder() -> StandInDecoder:
    return StandInDecoder()


@pytest.fixture
def receiver(decoder: StandInDecoder) -> Receiver[str]:
    return Receiver(decoder, ['front', 'rear'])     # type: ignore[arg-type]


def packet(sequence: int) -> bytes:
    return pack(Packet(CoderId.HEVC, 64, 48, 0x4801, 0, 0, sequence, None, b'', b'', b'x'))


def take(receiver: Receiver[str], *sequences: int, stream: str = 'front') -> None:
    """Hand packets over whose pictures were taken one second after the other, in this order."""
    for now_ns, sequence in enumerate(sequences):
        receiver.take(stream, packet(sequence), now_ns * SECOND_NS, f'tag {sequence}')


@pytest.mark.parametrize(('sequences', 'lost'), [
    ((7, 8, 9), 0), ((7, 9), 1), ((7, 12, 14), 5), ((65535, 0), 0), ((65534, 1), 2),
    ((7, 1007), 999),       # the largest jump that is loss
    ((7, 1008), 0),         # a larger one is an encoder that was started again
    ((5000, 0, 1), 0), ((3, 0), 0), ((7, 7), 0)])
def test_jumps_of_up_to_1000_are_lost_packets(receiver: Receiver[str], sequences: tuple[int, ...],
                                              lost: int) -> None:
    take(receiver, *sequences)
    assert receiver.counters('front')['lost'] == lost
    assert receiver.counters('front')['packets'] == len(sequences)
    assert receiver.counters('rear')['packets'] == 0


@pytest.mark.parametrize(('back', 'late'), [(1, 1), (4, 1), (5, 0)])
def test_up_to_four_packets_may_overtake_one(receiver: Receiver[str], decoder: StandInDecoder,
                                             back: int, late: int) -> None:
    """The overtaken one is followed but never shown: the operator has seen a newer picture."""
    receiver.take('front', packet(100), 100, 'newer')
    list(receiver.show('front', PLAIN, 0))
    receiver.take('front', packet(100 - back), 99, 'older')
    events = list(receiver.show('front', PLAIN, 0))
    assert receiver.counters('front')['late'] == late
    assert len(events) == 1 - late
    assert decoder.followed == [100 - back] * late


def test_a_lower_number_of_a_later_picture_is_a_restart(receiver: Receiver[str]) -> None:
    """An encoder that was started again begins at 0, perhaps four packets after its last start."""
    receiver.take('front', packet(3), 100, '')
    receiver.take('front', packet(0), 101, '')
    receiver.take('front', packet(1), 102, '')
    assert receiver.counters('front')['late'] == receiver.counters('front')['lost'] == 0


def test_the_newest_is_shown_and_the_others_are_followed(receiver: Receiver[str],
                                                         decoder: StandInDecoder) -> None:
    take(receiver, 1, 2, 3)
    shown, = receiver.show('front', PLAIN, 0)
    assert shown == Shown('front', 'tag 3', 3, len(packet(3)))
    assert (decoder.followed, decoder.shown) == ([1, 2], [3])
    counters = receiver.counters('front')
    assert (counters['replaced'], counters['decoded'], counters['skipped']) == (2, 1, 0)
    assert list(receiver.show('front', PLAIN, 0)) == []


def test_without_a_viewer_all_are_followed(receiver: Receiver[str], decoder: StandInDecoder
                                           ) -> None:
    take(receiver, 1, 2)
    assert list(receiver.show('front', None, 0)) == []
    assert (decoder.followed, decoder.shown) == ([1, 2], [])
    assert receiver.counters('front')['skipped'] == 1


def test_a_refresh_is_asked_for_once_a_second(receiver: Receiver[str], decoder: StandInDecoder
                                              ) -> None:
    decoder.broken = {n: MissingReferenceError(0, 'which is not here') for n in range(10)}
    asked = []
    for sequence, now_ns in enumerate((0, 1, 999_999_999, 1_000_000_000, 1_500_000_000)):
        take(receiver, sequence)
        asked += [now_ns for event in receiver.show('front', PLAIN, now_ns)
                  if event == RefreshNeeded('front')]
    assert asked == [0, 1_000_000_000]
    counters = receiver.counters('front')
    assert (counters['missing_references'], counters['refresh_requests']) == (5, 2)
    assert counters['bad_packets'] == counters['errors'] == 0


def test_what_cannot_be_decoded_is_told_and_the_next_is_shown(
        receiver: Receiver[str], decoder: StandInDecoder) -> None:
    decoder.broken = {1: PacketError('latent', 'x', 'a slice'), 2: RuntimeError('a bug')}
    take(receiver, 1, 2, 3)
    *refused, shown = receiver.show('front', PLAIN, 0)
    assert refused == [Refused('front', decoder.broken[1]), Refused('front', decoder.broken[2])]
    assert isinstance(shown, Shown)
    counters = receiver.counters('front')
    assert (counters['bad_packets'], counters['errors'], counters['decoded']) == (1, 1, 1)


def test_garbage_is_refused_and_counted(receiver: Receiver[str]) -> None:
    damaged = bytearray(packet(1))
    damaged[-1] ^= 1
    for data in (b'', bytes(damaged)):
        with pytest.raises(PacketError):
            receiver.take('front', data, 0, '')
    counters = receiver.counters('front')
    assert (counters['packets'], counters['bad_packets']) == (2, 2)
    assert receiver.next_stream() is None


def test_32_packets_wait_and_the_oldest_gives_way(receiver: Receiver[str],
                                                  decoder: StandInDecoder) -> None:
    take(receiver, *range(35))
    list(receiver.show('front', None, 0))
    assert decoder.followed == list(range(3, 35))
    assert receiver.counters('front')['replaced'] == 3 + 31


def test_streams_take_turns(receiver: Receiver[str]) -> None:
    """The one that has waited longest comes first, however many packets the other has."""
    take(receiver, 1, stream='rear')
    take(receiver, 1, 2, 3)
    assert receiver.next_stream() == 'rear'
    list(receiver.show('rear', None, 0))
    take(receiver, 2, stream='rear')
    assert receiver.next_stream() == 'front'
    receiver.clear()
    assert receiver.next_stream() is None
    assert list(receiver.show('front', None, 0)) == []


def test_an_unknown_stream_is_named(receiver: Receiver[str]) -> None:
    with pytest.raises(InvalidInputError, match='side'):
        receiver.take('side', packet(0), 0, '')


def test_a_picture_larger_than_allowed_is_refused_unread(decoder: StandInDecoder) -> None:
    """Twenty bytes may claim 4096x4096; nothing of it is decoded or kept."""
    receiver = Receiver[str](decoder, ['front'], max_pixels=64 * 48)   # type: ignore[arg-type]
    receiver.take('front', packet(1), 0, 'fits')
    large = pack(Packet(CoderId.HEVC, 64, 49, 0x4801, 0, 0, 2, None, b'', b'', b'x'))
    with pytest.raises(PacketError, match='max_pixels'):
        receiver.take('front', large, 1, 'too large')
    assert receiver.counters('front')['bad_packets'] == 1
    assert [event.tag for event in receiver.show('front', PLAIN, 0)
            if isinstance(event, Shown)] == ['fits']


@pytest.mark.parametrize(('most', 'generate'), [(64 * 48, None), (64 * 48 - 1, False)])
def test_large_pictures_are_not_regenerated(decoder: StandInDecoder, most: int,
                                            generate: bool | None) -> None:
    """Also those of a short packet, whose size is that of the picture before."""
    pytest.importorskip('torch')
    asked: list[bool | None] = []
    decoder.decode = lambda packet, **how: asked.append(how['generate'])    # type: ignore
    receiver = Receiver[str](decoder, ['front'])    # type: ignore[arg-type]
    short = pack(Packet(CoderId.HEVC, 0, 0, 0, 0, 0, 2, 1, b'', b'', b'xx', True, 2))
    for number, data in enumerate((packet(1), short)):
        receiver.take('front', data, number, '')
        list(receiver.show('front', View(generate_pixels=most), 0))
    assert asked == [generate] * 2
