struct Params {
    plane: u32,
    channels: u32,
    row_first: u32,
    row_count: u32,
    column_first: u32,
    column_count: u32,
    splits: u32,
    split_pixels: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
