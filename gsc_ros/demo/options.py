"""What a demonstration runs: its options, and the processes that follow from them."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsc_ros.codec.errors import InvalidInputError
from gsc_ros.link.line_settings import line_settings
from gsc_ros.media.sources import open_source, TOPIC_PREFIX
from gsc_ros.parameters import topics
from gsc_ros.parameters.player import RECORDER
from gsc_ros.parameters.sides import config_file, free_ports, loopback_specs, RadioSettings, Wiring
from gsc_ros.parameters.tables import ENCODER
from gsc_ros.runtime.specs import NodeSpec, ProcessSpec

STARTUP_S = 180.0   # loading networks on a busy small computer


@dataclass(frozen=True)
class DemoOptions:
    """What to run; ``seconds`` are counted from the first picture that is seen."""

    input: str
    output: Path
    kbps: float = 8.0
    loss: float = 0.0             # percent of the datagrams, each way
    delay: float = 0.0            # ms each way, beside the time that the bits take
    burst: float = 0.0            # mean ms of a burst of loss; 0: each datagram for itself
    seconds: float = 30.0
    coder: str = 'auto'
    max_bytes: int | None = None
    rate: float = 5.0             # of the camera, pictures per second
    generate: str = 'always'
    steps: int = 0                # 0: as the model wants
    detector: str = 'auto'
    storage: str = 'mcap'
    startup_s: float = STARTUP_S

    def check(self) -> None:
        """Raise InvalidInputError for a value outside its range or an unreadable input."""
        for name, low, high in (('kbps', 0.2, 800_000), ('seconds', 1, 86_400),
                                ('rate', 0.1, 120)):
            if not low <= getattr(self, name) <= high:
                raise InvalidInputError(f'--{name}', getattr(self, name), f'{low}..{high}')
        line_settings(self.kbps, self.loss, self.delay, self.burst)
        if self.max_bytes is not None:
            ENCODER['max_bytes'].check(self.max_bytes)
        if not self.live_topic:
            open_source(self.input)
        else:
            Wiring.of(self.input)

    @property
    def live_topic(self) -> str:
        """Topic of a live camera, '' where a file is played."""
        return self.input.removeprefix(TOPIC_PREFIX) if self.input.startswith(TOPIC_PREFIX) else ''


    @property
    def radio(self) -> RadioSettings:
        """The emulated radio between the two sides."""
        return RadioSettings(self.kbps, self.loss, self.delay, self.burst)

    @property
    def wiring(self) -> Wiring:
        """The topics of the camera."""
        return Wiring.of(self.input)


def player_spec(options: DemoOptions) -> list[NodeSpec]:
    """Return the node that plays the input; none for a live camera."""
    if options.live_topic:
        return []
    return [NodeSpec('gsc_ros.nodes.player_node', 'gsc_player', params={
        'input': str(Path(options.input).expanduser().resolve()), 'loop': True,
        'rate': float(options.rate)})]


def node_specs(options: DemoOptions) -> list[ProcessSpec]:
    """Return the recorder, both sides with their ends of the link, and the radio between."""
    params = options.wiring.loopback
    params['encoder'] |= _encoder_params(options)
    params['decoder'] |= {'generate': options.generate, 'steps': options.steps}
    params['detector'] = {'detector': options.detector, 'images': _analysed(options.wiring)}
    return [_recorder_spec(options), *loopback_specs(
        config_file('loopback.yaml'), radio=options.radio, ports=free_ports(),
        with_detector=options.detector != 'none', **params)]


def _camera_qos(options: DemoOptions) -> dict[str, Any]:
    """Large pictures get lost on a busy machine unless they are sent again; a live camera may."""
    return {'reliability': 'best_effort' if options.live_topic else 'reliable'}


def _encoder_params(options: DemoOptions) -> dict[str, Any]:
    params = {**_camera_qos(options), 'coder': options.coder}
    if options.max_bytes is not None:
        params |= {'max_bytes': options.max_bytes,
                   'min_bytes': min(options.max_bytes, ENCODER['min_bytes'].default)}
    return params


def _analysed(wiring: Wiring) -> list[str]:
    """Name what the detector looks at: both decoded views and the camera's."""
    decoded = topics.decoded_topics(wiring.linked)
    return [decoded.picture, decoded.plain, RECORDER['original'].default]


def _recorder_spec(options: DemoOptions) -> NodeSpec:
    return NodeSpec('gsc_ros.nodes.recorder_node', 'gsc_recorder', params={
        'camera': options.wiring.camera,
        'compressed': options.wiring.transport == 'compressed', **_camera_qos(options),
        'folder': str(options.output.resolve()), 'storage': options.storage})


def environment(options: DemoOptions, process_id: int) -> dict[str, str]:
    """Return the variables that the nodes need: their own domain, unless the camera is live."""
    if options.live_topic:
        return {}
    return {'ROS_DOMAIN_ID': str(process_id % 100 + 1),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
