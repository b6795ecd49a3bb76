"""
The H.265 headers that our packets leave out: parameter sets and slice header of one intra picture.

Syntax after Rec. ITU-T H.265, sections 7.3.1 to 7.3.6 and E.2.1, for one fixed configuration.
Both ends derive every byte from the coded size (and, for the slice header, one byte on the wire).
"""
from __future__ import annotations

import re

from gsc_ros.codec.bits import BitWriter
from gsc_ros.codec.errors import MissingDependencyError, PacketError

_START_CODE = b'\x00\x00\x00\x01'
MAX_QP = 51
_VPS, _SPS, _PPS, _IDR = 32, 33, 34, 20
_LEVEL = 186        # 6.2; x265 writes the lowest that fits, which no decoder needs
_LEVEL_BYTE = 12    # of the sequence parameter set, without escapes
_FIXED_QP = 26      # of the picture parameter set; the slice header carries the difference
_SAO_SHIFT = 6      # of the two SAO flags in the byte that stands for the slice header


def ctu_log2(width: int, height: int) -> int:
    """Log2 of the coding tree unit: x265 wants no picture side below it."""
    return min(6, min(width, height).bit_length() - 1)


def rebuild(latent: bytes, width: int, height: int) -> bytes:
    """
    Whole H.265 stream of a latent that ``strip`` made.

    :raises PacketError: if the first byte is not there or holds no quantiser.
    """
    if not latent:
        raise PacketError('latent length', 0, 'at least 1')
    qp, sao = latent[0] & (1 << _SAO_SHIFT) - 1, latent[0] >> _SAO_SHIFT
    if qp > MAX_QP:
        raise PacketError('hevc quantiser', qp, f'0..{MAX_QP}')
    units = [_nal(kind, writer.finish())
             for kind, writer in _parameter_sets(width, height, _LEVEL)]
    units.append(_nal(_IDR, _slice_header(qp, sao).finish()) + latent[1:])
    return b''.join(_START_CODE + unit for unit in units)


def strip(stream: bytes, width: int, height: int, qp: int) -> bytes:
    """
    Latent of an x265 stream: one byte for the slice header, then the slice data as they are.

    :raises MissingDependencyError: naming the first field that this x265 writes otherwise than
        ``rebuild`` does, so that no packet leaves that cannot be decoded.
    """
    units = re.split(b'\x00\x00\x00?\x01', stream)[1:]
    if len(units) != 4:
        raise _other_x265('NAL units', len(units), 4)
    level = _unescape(units[1][2:])[_LEVEL_BYTE]
    for unit, (kind, writer) in zip(units, _parameter_sets(width, height, level), strict=False):
        _compare(unit, kind, writer)
    for sao in range(4):
        header = _nal(_IDR, _slice_header(qp, sao).finish())
        if units[3].startswith(header):
            return bytes([sao << _SAO_SHIFT | qp]) + units[3][len(header):]
    raise _other_x265('slice header', units[3][:8].hex(), header.hex())


def _compare(unit: bytes, kind: int, writer: BitWriter) -> None:
    expected = _nal(kind, writer.finish())
    if unit == expected:
        return
    ours, theirs = _unescape(expected[2:]), _unescape(unit[2:])
    bits = [f'{int.from_bytes(data, "big"):0{8 * len(data)}b}' for data in (ours, theirs)]
    first = next((i for i, (a, b) in enumerate(zip(*bits, strict=False)) if a != b),
                 min(map(len, bits)))
    raise _other_x265(writer.field_at(first), theirs.hex(), ours.hex())


def _other_x265(field: str, value: object, expected: object) -> MissingDependencyError:
    return MissingDependencyError(
        f'a libx265 that writes the H.265 field {field} as expected (it is in {value}, wanted '
        f'{expected})', 'pip install "av>=14"')


def _parameter_sets(width: int, height: int, level: int) -> list[tuple[int, BitWriter]]:
    return [(_VPS, _video_parameters(level)), (_SPS, _sequence_parameters(width, height, level)),
            (_PPS, _picture_parameters())]


def _nal(kind: int, payload: bytes) -> bytes:
    """NAL unit: two bytes of header, then the payload with emulation prevention (7.3.1)."""
    out, zeros = bytearray((kind << 1, 1)), 0
    for byte in payload:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _unescape(data: bytes) -> bytes:
    return data.replace(b'\x00\x00\x03', b'\x00\x00')


def _profile_tier_level(w: BitWriter, level: int) -> None:
    w.u('general_profile_space, general_tier_flag', 0, 3)
    w.u('general_profile_idc', 4, 5)    # format range extensions: Main Intra
    w.u('general_profile_compatibility_flags', 1 << 27, 32)
    w.u('general_progressive_source_flag', 1)
    w.u('general_interlaced_source_flag', 0)
    w.u('general_non_packed_constraint_flag', 0)
    w.u('general_frame_only_constraint_flag', 1)
    w.u('general_profile_constraint_flags', 0b111110101, 9)
    w.u('general_reserved_zero_bits', 0, 35)
    w.u('general_level_idc', level, 8)


def _ordering(w: BitWriter) -> None:
    w.u('sub_layer_ordering_info_present_flag', 1)
    w.ue('max_dec_pic_buffering_minus1', 2)
    w.ue('max_num_reorder_pics', 0)
    w.ue('max_latency_increase_plus1', 1)


def _video_parameters(level: int) -> BitWriter:
    w = BitWriter()
    w.u('vps_video_parameter_set_id', 0, 4)
    w.u('vps_base_layer_flags', 3, 2)
    w.u('vps_max_layers_minus1', 0, 6)
    w.u('vps_max_sub_layers_minus1', 0, 3)
    w.u('vps_temporal_id_nesting_flag', 1)
    w.u('vps_reserved_0xffff_16bits', 0xFFFF, 16)
    _profile_tier_level(w, level)
    _ordering(w)
    w.u('vps_max_layer_id', 0, 6)
    w.ue('vps_num_layer_sets_minus1', 0)
    w.u('vps_timing_info_present_flag', 0)
    w.u('vps_extension_flag', 0)
    return w


def _sequence_parameters(width: int, height: int, level: int) -> BitWriter:
    w = BitWriter()
    w.u('sps_video_parameter_set_id', 0, 4)
    w.u('sps_max_sub_layers_minus1', 0, 3)
    w.u('sps_temporal_id_nesting_flag', 1)
    _profile_tier_level(w, level)
    w.ue('sps_seq_parameter_set_id', 0)
    w.ue('chroma_format_idc', 1)
    w.ue('pic_width_in_luma_samples', width)
    w.ue('pic_height_in_luma_samples', height)
    w.u('conformance_window_flag', 0)
    w.ue('bit_depth_luma_minus8', 0)
    w.ue('bit_depth_chroma_minus8', 0)
    w.ue('log2_max_pic_order_cnt_lsb_minus4', 4)
    _ordering(w)
    _coding_tools(w, ctu_log2(width, height))
    w.u('vui_parameters_present_flag', 1)
    _usability(w)
    w.u('sps_extension_present_flag', 0)
    return w


def _coding_tools(w: BitWriter, ctu: int) -> None:
    w.ue('log2_min_luma_coding_block_size_minus3', 0)
    w.ue('log2_diff_max_min_luma_coding_block_size', ctu - 3)
    w.ue('log2_min_luma_transform_block_size_minus2', 0)
    w.ue('log2_diff_max_min_luma_transform_block_size', min(ctu, 5) - 2)
    w.ue('max_transform_hierarchy_depth_inter', 0)
    w.ue('max_transform_hierarchy_depth_intra', 0)
    w.u('scaling_list_enabled_flag', 0)
    w.u('amp_enabled_flag', 0)
    w.u('sample_adaptive_offset_enabled_flag', 1)
    w.u('pcm_enabled_flag', 0)
    w.ue('num_short_term_ref_pic_sets', 0)
    w.u('long_term_ref_pics_present_flag', 0)
    w.u('sps_temporal_mvp_enabled_flag', 1)
    w.u('strong_intra_smoothing_enabled_flag', 1)


def _usability(w: BitWriter) -> None:
    w.u('aspect_ratio_info_present_flag', 0)
    w.u('overscan_info_present_flag', 0)
    w.u('video_signal_type_present_flag', 1)
    w.u('video_format', 5, 3)
    w.u('video_full_range_flag', 1)
    w.u('colour_description_present_flag', 0)
    for name in ('chroma_loc_info_present_flag', 'neutral_chroma_indication_flag',
                 'field_seq_flag', 'frame_field_info_present_flag',
                 'default_display_window_flag'):
        w.u(name, 0)
    # one picture a second; without timing x265 writes one bit too many
    w.u('vui_timing_info_present_flag', 1)
    w.u('vui_num_units_in_tick', 1, 32)
    w.u('vui_time_scale', 1, 32)
    w.u('vui_poc_proportional_to_timing_flag', 0)
    w.u('vui_hrd_parameters_present_flag', 0)
    w.u('bitstream_restriction_flag', 0)


def _picture_parameters() -> BitWriter:
    w = BitWriter()
    w.ue('pps_pic_parameter_set_id', 0)
    w.ue('pps_seq_parameter_set_id', 0)
    w.u('dependent_slice_segments_enabled_flag', 0)
    w.u('output_flag_present_flag', 0)
    w.u('num_extra_slice_header_bits', 0, 3)
    w.u('sign_data_hiding_enabled_flag', 1)
    w.u('cabac_init_present_flag', 0)
    w.ue('num_ref_idx_l0_default_active_minus1', 0)
    w.ue('num_ref_idx_l1_default_active_minus1', 0)
    w.se('init_qp_minus26', _FIXED_QP - 26)
    w.u('constrained_intra_pred_flag', 0)
    w.u('transform_skip_enabled_flag', 0)
    w.u('cu_qp_delta_enabled_flag', 0)
    w.se('pps_cb_qp_offset', 0)
    w.se('pps_cr_qp_offset', 0)
    for name in ('pps_slice_chroma_qp_offsets_present_flag', 'weighted_pred_flag',
                 'weighted_bipred_flag', 'transquant_bypass_enabled_flag', 'tiles_enabled_flag',
                 'entropy_coding_sync_enabled_flag'):
        w.u(name, 0)
    w.u('pps_loop_filter_across_slices_enabled_flag', 1)
    for name in ('deblocking_filter_control_present_flag', 'pps_scaling_list_data_present_flag',
                 'lists_modification_present_flag'):
        w.u(name, 0)
    w.ue('log2_parallel_merge_level_minus2', 0)
    w.u('slice_segment_header_extension_present_flag', 0)
    w.u('pps_extension_present_flag', 0)
    return w


def _slice_header(qp: int, sao: int) -> BitWriter:
    w = BitWriter()
    w.u('first_slice_segment_in_pic_flag', 1)
    w.u('no_output_of_prior_pics_flag', 0)
    w.ue('slice_pic_parameter_set_id', 0)
    w.ue('slice_type', 2)
    w.u('slice_sao_luma_flag, slice_sao_chroma_flag', sao, 2)
    w.se('slice_qp_delta', qp - _FIXED_QP)
    w.u('slice_loop_filter_across_slices_enabled_flag', 1)
    return w
