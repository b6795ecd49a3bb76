"""
The standard codecs that ours is compared with: a new one is a file and a line here.

The file makes a ``StillCodec`` (single pictures, judged at bits per pixel) or a ``VideoCodec``
(streams, judged at kbit/s). ``gsc evaluate --codecs`` and the report then know its name.
"""
from __future__ import annotations

from gsc_ros.evaluation.peers import pillow_codecs, video_codecs, x265
from gsc_ros.evaluation.peers.still_codec import StillCodec
from gsc_ros.evaluation.peers.video_codecs import VideoCodec

PEERS: dict[str, StillCodec | VideoCodec] = {peer.name: peer for peer in (
    pillow_codecs.JPEG,
    pillow_codecs.WEBP,
    pillow_codecs.AVIF,
    pillow_codecs.AVIF_PAYLOAD,
    x265.X265,
    x265.X265_PAYLOAD,
    video_codecs.H264,
    video_codecs.H265,
    video_codecs.AV1,
)}
STILLS = {name: peer for name, peer in PEERS.items() if isinstance(peer, StillCodec)}
VIDEOS = {name: peer for name, peer in PEERS.items() if isinstance(peer, VideoCodec)}
BY_DEFAULT = tuple(name for name, peer in PEERS.items() if peer.by_default)
