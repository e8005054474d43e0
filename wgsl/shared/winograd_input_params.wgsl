struct Params {
    h: u32,
    w: u32,
    channels: u32,
    first: u32,
    count: u32,
    tiles_w: u32,
    first_row: u32,
    tiles: u32,
    stride: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
