struct Params {
    h: u32,
    w: u32,
    channels: u32,
    in_first: u32,
    in_count: u32,
    out_first: u32,
    out_count: u32,
    pixel_groups: u32,
    scale: f32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
