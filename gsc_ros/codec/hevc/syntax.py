"""
Syntax of the H.265 headers, field by field, for the configurations that our packets use.

After Rec. ITU-T H.265, sections 7.3.1 to 7.3.7 and E.2.1. ``inter`` chooses between the parameter
sets of pictures that stand alone and those of pictures that are predicted from another one.
"""
from __future__ import annotations

from gsc_ros.codec.hevc.bits import BitWriter

VPS, SPS, PPS = 32, 33, 34
_FIXED_QP = 26      # of the picture parameter set; the slice header carries the difference
MERGE_CANDIDATES = 3


def ctu_log2(width: int, height: int) -> int:
    """Log2 of the coding tree unit: x265 wants no picture side below it."""
    return min(6, min(width, height).bit_length() - 1)


def parameter_sets(width: int, height: int, level: int, inter: bool
                   ) -> list[tuple[int, BitWriter]]:
    """Type and fields of the three parameter sets, in the order in which x265 sends them."""
    return [(VPS, _video_parameters(level, inter)),
            (SPS, _sequence_parameters(width, height, level, inter)),
            (PPS, _picture_parameters())]


def _profile_tier_level(w: BitWriter, level: int, inter: bool) -> None:
    # what x265 writes: Main, and for pictures on their own the range extensions' Main Intra
    profile, compatible, constraints = (1, 0b11 << 29, 0) if inter else (4, 1 << 27, 0b111110101)
    w.u('general_profile_space, general_tier_flag', 0, 3)
    w.u('general_profile_idc', profile, 5)
    w.u('general_profile_compatibility_flags', compatible, 32)
    w.u('general_progressive_source_flag', 1)
    w.u('general_interlaced_source_flag', 0)
    w.u('general_non_packed_constraint_flag', 0)
    w.u('general_frame_only_constraint_flag', 1)
    w.u('general_profile_constraint_flags', constraints, 9)
    w.u('general_reserved_zero_bits', 0, 35)
    w.u('general_level_idc', level, 8)


def _ordering(w: BitWriter) -> None:
    w.u('sub_layer_ordering_info_present_flag', 1)
    w.ue('max_dec_pic_buffering_minus1', 2)
    w.ue('max_num_reorder_pics', 0)
    w.ue('max_latency_increase_plus1', 1)


def _video_parameters(level: int, inter: bool) -> BitWriter:
    w = BitWriter()
    w.u('vps_video_parameter_set_id', 0, 4)
    w.u('vps_base_layer_flags', 3, 2)
    w.u('vps_max_layers_minus1', 0, 6)
    w.u('vps_max_sub_layers_minus1', 0, 3)
    w.u('vps_temporal_id_nesting_flag', 1)
    w.u('vps_reserved_0xffff_16bits', 0xFFFF, 16)
    _profile_tier_level(w, level, inter)
    _ordering(w)
    w.u('vps_max_layer_id', 0, 6)
    w.ue('vps_num_layer_sets_minus1', 0)
    w.u('vps_timing_info_present_flag', 0)
    w.u('vps_extension_flag', 0)
    return w


def _sequence_parameters(width: int, height: int, level: int, inter: bool) -> BitWriter:
    w = BitWriter()
    w.u('sps_video_parameter_set_id', 0, 4)
    w.u('sps_max_sub_layers_minus1', 0, 3)
    w.u('sps_temporal_id_nesting_flag', 1)
    _profile_tier_level(w, level, inter)
    w.ue('sps_seq_parameter_set_id', 0)
    w.ue('chroma_format_idc', 1)
    w.ue('pic_width_in_luma_samples', width)
    w.ue('pic_height_in_luma_samples', height)
    w.u('conformance_window_flag', 0)
    w.ue('bit_depth_luma_minus8', 0)
    w.ue('bit_depth_chroma_minus8', 0)
    w.ue('log2_max_pic_order_cnt_lsb_minus4', 4)
    _ordering(w)
    _coding_tools(w, ctu_log2(width, height), inter)
    w.u('vui_parameters_present_flag', 1)
    _usability(w)
    w.u('sps_extension_present_flag', 0)
    return w


def _coding_tools(w: BitWriter, ctu: int, inter: bool) -> None:
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
    # the reference is rebuilt without its motion
    w.u('sps_temporal_mvp_enabled_flag', not inter)
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


def intra_slice_header(qp: int, sao: int) -> BitWriter:
    """Slice header of a picture on its own; ``sao``: the luma flag times two, plus chroma."""
    w = BitWriter()
    w.u('first_slice_segment_in_pic_flag', 1)
    w.u('no_output_of_prior_pics_flag', 0)
    w.ue('slice_pic_parameter_set_id', 0)
    w.ue('slice_type', 2)
    w.u('slice_sao_luma_flag, slice_sao_chroma_flag', sao, 2)
    w.se('slice_qp_delta', qp - _FIXED_QP)
    w.u('slice_loop_filter_across_slices_enabled_flag', 1)
    return w


def inter_slice_header(order: int, qp: int, sao: int) -> BitWriter:
    """Slice header of picture ``order``, 1..255, predicted from the one before it."""
    w = BitWriter()
    w.u('first_slice_segment_in_pic_flag', 1)
    w.ue('slice_pic_parameter_set_id', 0)
    w.ue('slice_type', 1)
    w.u('slice_pic_order_cnt_lsb', order, 8)
    w.u('short_term_ref_pic_set_sps_flag', 0)
    w.ue('num_negative_pics', 1)
    w.ue('num_positive_pics', 0)
    w.ue('delta_poc_s0_minus1', 0)
    w.u('used_by_curr_pic_s0_flag', 1)
    w.u('slice_sao_luma_flag, slice_sao_chroma_flag', sao, 2)
    w.u('num_ref_idx_active_override_flag', 0)
    w.ue('five_minus_max_num_merge_cand', 5 - MERGE_CANDIDATES)
    w.se('slice_qp_delta', qp - _FIXED_QP)
    w.u('slice_loop_filter_across_slices_enabled_flag', 1)
    return w
