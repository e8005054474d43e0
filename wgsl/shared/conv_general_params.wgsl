struct Params {
    x_d: u32,
    x_h: u32,
    x_w: u32,
    y_d: u32,
    y_h: u32,
    y_w: u32,
    kernel_d: u32,
    kernel_h: u32,
    kernel_w: u32,
    stride_d: u32,
    stride_h: u32,
    stride_w: u32,
    before_d: u32,
    before_h: u32,
    before_w: u32,
    after_d: u32,
    after_h: u32,
    after_w: u32,
    dilation_d: u32,
    dilation_h: u32,
    dilation_w: u32,
    padding: u32,
    groups: u32,
    in_first: u32,
    in_count: u32,
    in_total: u32,
    out_first: u32,
    out_count: u32,
    out_total: u32,
    pixel_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;

// Values of `padding`: what lies beyond the edges of x.
const ZERO: u32 = 0u;
const REPLICATE: u32 = 1u;

// Flags: along depth, height and width lie the elements from the other end instead.
const WRAP_D: u32 = 2048u;
const WRAP_Y: u32 = 512u;
const WRAP_X: u32 = 1024u;
