"""What runs on each side: one place for ``gsc run``, the demo and the launch files."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
import os
from pathlib import Path
import socket
import sys
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.media.sources import TOPIC_PREFIX
from gsc_ros.parameters import topics
from gsc_ros.parameters.link import LINK_BASE, LINK_ROBOT
from gsc_ros.parameters.tables import DECODER, ENCODER
from gsc_ros.runtime.specs import NodeSpec, ProcessSpec

BYTES_PER_KBIT = 125
DEFAULT_KBPS = ENCODER['bytes_per_second'].default / BYTES_PER_KBIT
PORTS = 47402, 47400   # of the emulated radio for the robot, and of the base station


@dataclass(frozen=True)
class RadioSettings:
    """An emulated radio: 1000 bit/s, percent lost, milliseconds of delay and of bursts of loss."""

    kbps: float = DEFAULT_KBPS
    loss: float = 0.0
    delay: float = 0.0
    burst: float = 0.0

    def spec(self, ports: tuple[int, int]) -> ProcessSpec:
        """Make the process between the robot, which sends to the first port, and the base."""
        values = {'robot': f'127.0.0.1:{ports[0]}', 'base': f'127.0.0.1:{ports[1]}',
                  **vars(self)}
        return ProcessSpec('gsc_ros.link.radio', 'gsc_radio', [
            f'--{name}={value}' for name, value in values.items()])


@dataclass(frozen=True)
class Wiring:
    """The topics of one camera as parameters of each node; ``transport`` as the encoder's."""

    camera: str
    transport: str = 'raw'

    @classmethod
    def of(cls, source: str) -> Wiring:
        """
        Take the topic of a live camera, or the player's for any other input.

        :raises InvalidInputError: for a topic without a name.
        """
        if not source.startswith(TOPIC_PREFIX):
            return cls(ENCODER['cameras'].default[0])
        topic = source.removeprefix(TOPIC_PREFIX)
        camera = topic.removesuffix('/compressed')
        if not camera.strip('/'):
            raise InvalidInputError('--input', source, 'topic:/camera/image_raw')
        return cls(camera, 'raw' if camera == topic else 'compressed')

    @property
    def stream(self) -> str:
        """Packets at the robot."""
        return topics.stream_topic(self.camera)

    @property
    def linked(self) -> str:
        """Packets at the base station."""
        return topics.linked_topic(LINK_BASE['prefix'].default, self.stream)

    @property
    def encoder(self) -> dict[str, Any]:
        """Parameters of the encoder."""
        return {'cameras': [self.camera], 'transport': self.transport}

    @property
    def link_robot(self) -> dict[str, Any]:
        """Parameters of the robot's end of the link."""
        return {'streams': [self.stream]}

    @property
    def loopback(self) -> dict[str, Any]:
        """Parameters of all nodes, by the names that ``loopback_specs`` gives them."""
        return {'encoder': self.encoder, 'link_robot': self.link_robot,
                'link_base': {'prefix': LINK_BASE['prefix'].default}, **base_wiring(self.linked)}


def base_wiring(stream: str) -> dict[str, Any]:
    """
    Make the parameters of decoder and detector for a stream at the base station.

    :raises InvalidInputError: for a topic that does not end in /gsc.
    """
    return {'decoder': {'streams': [stream]},
            'detector': {'images': [topics.decoded_topics(stream).picture]}}


def link_params(url: str, key_file: str) -> dict[str, Any] | None:
    """Make the parameters of a link node; None without a URL, 'params' leaves it to the file."""
    if not url:
        return None
    link = {} if url == 'params' else {'link': url}
    return link | ({'key_file': key_file} if key_file else {})


def camera_remaps(image: str, camera_info: str) -> dict[str, str]:
    """Let the encoder's default camera come from other topics."""
    camera = ENCODER['cameras'].default[0]
    return {camera: image, topics.compressed_topic(camera): topics.compressed_topic(image),
            topics.camera_info_topic(camera): camera_info}


def stream_remaps(stream: str) -> dict[str, str]:
    """Let the decoder's default stream come from another topic."""
    default = DECODER['streams'].default[0]
    return {default: stream, topics.info_topic(default): topics.info_topic(stream)}


def budget(kbps: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Make the limits of encoder and link for a speed [1000 bit/s]; none for None."""
    if kbps is None:
        return {}, {}
    encoder, link = (max(round(table['bytes_per_second'].low or 0), int(kbps * BYTES_PER_KBIT))
                     for table in (ENCODER, LINK_ROBOT))
    return {'bytes_per_second': encoder}, {'bytes_per_second': link}


def _spec(kind: str, params_file: Path | None, namespace: str, params: Mapping[str, Any],
          remaps: Mapping[str, str] | None) -> NodeSpec:
    return NodeSpec(f'gsc_ros.nodes.{kind}_node', f'gsc_{kind}', params=dict(params),
                    params_files=[Path(params_file)] if params_file else [],
                    remaps=dict(remaps or {}), namespace=namespace)


def robot_specs(params_file: Path | None = None, *, namespace: str = '',
                encoder: Mapping[str, Any] | None = None, link: Mapping[str, Any] | None = None,
                remaps: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """
    Make the robot's side: the encoder node and its end of the link.

    ``encoder`` and ``link`` hold parameters; None for ``link``: packets stay topics.
    """
    specs = [_spec('encoder', params_file, namespace, encoder or {}, remaps)]
    if link is not None:
        specs.append(_spec('link_robot', params_file, namespace, link, remaps))
    return specs


def base_specs(params_file: Path | None = None, *, namespace: str = '',
               decoder: Mapping[str, Any] | None = None,
               detector: Mapping[str, Any] | None = None, with_detector: bool = True,
               link: Mapping[str, Any] | None = None,
               remaps: Mapping[str, str] | None = None) -> list[NodeSpec]:
    """
    Make the base station: decoder, detector, its end of the link.

    ``decoder``, ``detector`` and ``link`` hold parameters; None for ``link``: packets come as
    topics.
    """
    specs = [_spec('decoder', params_file, namespace, decoder or {}, remaps)]
    if link is not None:
        specs.append(_spec('link_base', params_file, namespace, link, remaps))
    if with_detector:
        specs.append(_spec('detector', params_file, namespace, detector or {}, remaps))
    return specs


def loopback_specs(params_file: Path | None = None, *, namespace: str = '',
                   radio: RadioSettings | None = None, ports: tuple[int, int] = PORTS,
                   encoder: Mapping[str, Any] | None = None,
                   link_robot: Mapping[str, Any] | None = None,
                   link_base: Mapping[str, Any] | None = None,
                   decoder: Mapping[str, Any] | None = None,
                   detector: Mapping[str, Any] | None = None, with_detector: bool = True,
                   remaps: Mapping[str, str] | None = None) -> list[ProcessSpec]:
    """
    Both sides with their ends of the link, and an emulated radio between, on one machine.

    ``radio`` also limits what encoder and link send; None leaves that to the file, with a radio
    as fast as the encoder's default.
    """
    encoder_limit, link_limit = budget(radio.kbps if radio else None)
    robot_url, base_url = f'udp://127.0.0.1:{ports[0]}', f'udp://?bind=127.0.0.1:{ports[1]}'
    robot = robot_specs(
        params_file, namespace=namespace, remaps=remaps,
        encoder={**encoder_limit, **(encoder or {})},
        link={'link': robot_url, **link_limit, **(link_robot or {})})
    base = base_specs(
        params_file, namespace=namespace, remaps=remaps, decoder=decoder, detector=detector,
        with_detector=with_detector, link={'link': base_url, **(link_base or {})})
    return [*robot, (radio or RadioSettings()).spec(ports), *base]


def free_ports() -> tuple[int, int]:
    """Return two UDP ports of this machine that nobody has at the moment."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                  for _ in range(2)]
        for probe in probes:
            probe.bind(('127.0.0.1', 0))
        robot, base = (int(probe.getsockname()[1]) for probe in probes)
    return robot, base


def config_file(name: str) -> Path | None:
    """Find a parameter file in the source tree or where it is installed; None without one."""
    return shared_file('config', name)


def shared_file(folder: str, name: str) -> Path | None:
    """Find a file of ``config/`` or ``rviz/`` in the source tree or where it is installed."""
    prefixes = [*filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)),
                sys.prefix]
    places = [Path(__file__).resolve().parents[2] / folder,
              *(Path(prefix) / 'share' / 'gsc_ros' / folder for prefix in prefixes)]
    return next((place / name for place in places if (place / name).is_file()), None)
