"""Datagrams: every field there and back, and nothing but typed errors for what is broken."""
from __future__ import annotations

from contextlib import suppress
from pathlib import Path
import re

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.wire import blobs
from gsc_ros.link.wire import datagrams as wire
from gsc_ros.link.wire.blobs import FactsBlob, StreamFacts
from gsc_ros.link.wire.crypto import Keys, Purpose, read_sealed, Word
from gsc_ros.link.wire.datagrams import (
    Fragment,
    Head,
    Kind,
    LinkError,
    OtherVersionError,
    Part,
    Request,
    RequestBody,
    RequestKind,
)
from gsc_ros.link.wire.reports import Ack, read_report, ReportBody, write_report
from hypothesis import given
from hypothesis import strategies as st
import pytest

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'LINK.md'
u8, u16, u32 = st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1)
heads = st.sampled_from([
    Head(Kind.DATA), Head(Kind.DATA, inside=True), Head(Kind.DATA, fragmented=True),
    Head(Kind.DATA, fragmented=True, inside=True), Head(Kind.INFO),
    Head(Kind.INFO, fragmented=True), Head(Kind.REPORT), Head(Kind.REQUEST), Head(Kind.DONE)])


@given(heads, u16, st.binary(max_size=200), u8)
def test_plain_framing_goes_there_and_back(head: Head, number: int, body: bytes,
                                           run: int) -> None:
    data = wire.write_plain(head, number, body, run)
    assert wire.read_plain(data) == wire.Datagram(head, number, body, run)
    assert len(data) == len(body) + wire.plain_overhead(head.kind)


def test_a_whole_picture_has_eleven_bytes_of_headers() -> None:
    packet = bytes(10) + (258).to_bytes(2, 'little') + bytes(100)
    blob = blobs.write_picture(258, 123_456_700_000, packet)
    body = wire.write_part(Part(3, 500, None, blob))
    assert len(wire.write_plain(Head(Kind.DATA, inside=True), 9, body)) == len(packet) + 11


@given(u8, u16, st.builds(Fragment, u8, st.integers(0, 254), st.integers(2, 255)),
       st.booleans(), st.binary(min_size=1, max_size=100))
def test_parts_go_there_and_back(stream: int, sent: int, place: Fragment, fragmented: bool,
                                 payload: bytes) -> None:
    part = Part(stream, sent, place if fragmented else None, payload)
    head = Head(Kind.DATA, fragmented=fragmented)
    assert wire.read_part(wire.Datagram(head, 0, wire.write_part(part))) == part


acks = st.lists(st.builds(Ack, u8, u16, u16), max_size=8).map(tuple)


@given(st.builds(ReportBody, u16, st.none() | u16, st.just(0), u16, u16, u16, u32, u16, acks))
def test_reports_go_there_and_back(report: ReportBody) -> None:
    assert read_report(write_report(report)) == report


def test_report_figures_that_do_not_fit_saturate() -> None:
    huge = ReportBody(1, 2, 10**9, 10**9, 10**9, 10**9, 10**12, 10**9)
    assert read_report(write_report(huge)) == ReportBody(
        1, 2, 65534, 65535, 65535, 65535, 2**32 - 1, 65535)


def test_an_ack_names_the_pictures_before_the_newest_across_the_wrap() -> None:
    assert Ack(0, 1, 0b1000_0000_0000_0101).sequences == [1, 0, 65534, 65521]


floats = st.floats(width=32, allow_nan=False, allow_infinity=False).filter(
    lambda value: abs(value) <= 3.3e38)


@given(u16, st.none() | u8, st.sampled_from(RequestKind), st.lists(floats, max_size=8), u8, u16)
def test_requests_go_there_and_back(number: int, stream: int | None, kind: RequestKind,
                                    values: list[float], age: int, newest: int) -> None:
    body = RequestBody(number, Request(stream, kind, tuple(values)), age * 100_000_000, newest)
    assert wire.read_request(wire.write_request(body)) == body


@given(st.integers(0, 10**11))
def test_a_request_never_seems_younger_than_it_is(age_ns: int) -> None:
    """Rounded up to 0.1 s; from 25.5 s on it is 25.5 s, which nobody obeys."""
    told_ns = wire.read_request(wire.write_request(
        RequestBody(1, Request(0, RequestKind.PAUSE), age_ns, 0))).age_ns
    assert min(age_ns, 25_500_000_000) <= told_ns < age_ns + 100_000_000


@given(u32, st.integers(0, 2**47 - 1), st.text(max_size=60), st.text(max_size=60),
       st.binary(max_size=400))
def test_facts_go_there_and_back(boot: int, stamp: int, name: str, frame: str,
                                 info: bytes) -> None:
    blob = FactsBlob(boot, stamp * blobs.STAMP_UNIT_NS, StreamFacts(name, frame, info))
    assert blobs.read_facts(blobs.write_facts(blob)) == blob


@given(u16, st.integers(0, 2**62), st.binary(min_size=1, max_size=100), st.booleans())
def test_pictures_go_there_and_back(sequence: int, stamp: int, packet: bytes,
                                    own: bool) -> None:
    if own:  # a packet that says its own sequence number where GSC packets do
        packet = bytes(10) + sequence.to_bytes(2, 'little') + packet
    inside = blobs.sequence_inside(sequence, packet)
    blob = blobs.write_picture(sequence, stamp, packet)
    assert len(blob) == len(packet) + (4 if inside else 6)
    assert inside or not own
    got_sequence, got_stamp, got_packet = blobs.read_picture(blob, inside=inside)
    assert (got_sequence, got_packet) == (sequence, packet)
    assert blobs.expand_stamp(got_stamp, stamp) == stamp // 100_000 * 100_000


@given(st.integers(0, 2**60), st.integers(-2**31 + 1, 2**31 - 1))
def test_a_stamp_is_found_within_two_days(stamp: int, off: int) -> None:
    near = stamp + off * 90_000  # up to 2.2 days
    low = stamp // 100_000 % 2**32
    assert near < 0 or blobs.expand_stamp(low, near) == stamp // 100_000 * 100_000


def test_broken_datagrams_raise_link_errors_and_nothing_else() -> None:
    report = wire.write_plain(Head(Kind.REPORT), 7, write_report(
        ReportBody(1, 2, 3, 4, 5, 6, 7, 8, (Ack(1, 2, 3),))))
    request = wire.write_plain(Head(Kind.REQUEST), 7, wire.write_request(RequestBody(
        1, Request(None, RequestKind.ROI, (0.0, 0.0, 1.0, 1.0)), 0, 9)))
    refused = 0
    for good in (report, request):
        broken = [good[:end] for end in range(len(good))]
        broken += [good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1:]
                   for at in range(len(good)) for bit in range(8)]
        for data in broken:
            try:
                # Only a picture passes, which has no CRC here: its packet has one.
                assert wire.read_plain(data).head.kind is Kind.DATA
            except LinkError:
                refused += 1
    assert refused >= len(report) * 9 + len(request) * 9 - 2


@given(st.sampled_from(Kind), st.binary(max_size=80))
def test_any_body_is_read_or_refused(kind: Kind, body: bytes) -> None:
    readers = {
        Kind.DATA: lambda: wire.read_part(wire.Datagram(Head(kind, fragmented=True), 0, body)),
        Kind.INFO: lambda: blobs.read_facts(body), Kind.REPORT: lambda: read_report(body),
        Kind.REQUEST: lambda: wire.read_request(body), Kind.DONE: lambda: wire.read_done(body),
        Kind.HELLO: lambda: blobs.read_picture(body, inside=bool(len(body) % 2)),
        Kind.ANSWER: lambda: Keys(bytes(32)).read_answer(Word(1, 2), body)}
    with suppress(LinkError):
        readers[kind]()


@pytest.mark.parametrize('data', [
    b'', b'\x00\x00\x00', b'\xc0\x00\x00', bytes([0x80 | 7 << 2, 0, 0]),
    bytes([0x80 | Kind.REPORT << 2 | 2, 0, 0]), bytes([0x80 | Kind.INFO << 2 | 1, 0, 0]),
    bytes([0x80]) + bytes(1500)])
def test_a_first_byte_that_no_sender_writes_is_refused(data: bytes) -> None:
    with pytest.raises(LinkError):
        wire.read_head(data)


@pytest.mark.parametrize('first', [0x00, 0x41, 0x74, 0xff])
def test_another_version_is_refused_by_its_number(first: int) -> None:
    with pytest.raises(OtherVersionError, match=f'link version is {first >> 6}, expected 2 at'):
        wire.read_head(bytes([first]) + bytes(60))


@pytest.mark.parametrize('bad', [
    lambda: Request(256, RequestKind.PAUSE), lambda: Request(0, RequestKind.ROI, (0.0,) * 9),
    lambda: Request(0, RequestKind.RATE, (float('nan'),)),
    lambda: Request(0, RequestKind.RATE, (1e39,)),
    lambda: StreamFacts('x' * 256, '', b''), lambda: StreamFacts('', 'ä' * 128, b''),
    lambda: StreamFacts('', '', bytes(401)),
    lambda: blobs.check_picture(65536, 0, b'x', 10), lambda: blobs.check_picture(0, -1, b'x', 10),
    lambda: blobs.check_picture(0, 0, b'', 10), lambda: blobs.check_picture(0, 0, bytes(11), 10)])
def test_what_cannot_be_sent_is_refused_when_it_is_made(bad: object) -> None:
    with pytest.raises(InvalidInputError):
        bad()  # type: ignore[operator]


def test_the_examples_of_the_page_are_what_is_sent() -> None:
    block = re.search(r'```hex\n(.*?)```', PAGE.read_text(), re.DOTALL)
    assert block
    told = {name: bytes.fromhex(code) for code, name in (
        line.split(' # ') for line in block.group(1).splitlines())}
    packet = told['DATA'][-19:]
    keys, robot, base = Keys(bytes(range(32))), Word(0x1122334455667788, 3), Word(0x99, 7)
    part = Part(3, 4660, None, blobs.write_picture(258, 1_800_000_000_123_400_000, packet))
    body = wire.write_part(part)
    report = ReportBody(0xbeef, 258, 21, 1000, 4, 1, 1300, 35, (Ack(3, 258, 5),))
    request = RequestBody(2571, Request(None, RequestKind.RATE, (500.0,)), 1_500_000_000, 258)
    sealed = keys.derive(Purpose.TO_BASE, robot, base).seal(
        Head(Kind.DATA, inside=True), 65536 + 258, body)
    assert told == {
        'DATA': wire.write_plain(Head(Kind.DATA, inside=True), 258, body, 90),
        'REPORT': wire.write_plain(Head(Kind.REPORT), 7, write_report(report), 17),
        'REQUEST': wire.write_plain(Head(Kind.REQUEST), 8, wire.write_request(request), 17),
        'DONE': wire.write_plain(Head(Kind.DONE), 259, wire.write_done([2571]), 90),
        'HELLO': keys.write_hello(robot), 'ANSWER': keys.write_answer(robot, base, 250),
        'SEALED': sealed, 'WANTED': keys.write_wanted(read_sealed(sealed))}
