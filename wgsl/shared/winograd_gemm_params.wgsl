struct Params {
    depth: u32,
    outputs: u32,
    tiles4: u32,
    stride4: u32,
    weight_rows: u32,
    weight_blocks: u32,
    tile_groups: u32,
    flags: u32,
}
@group(0) @binding(1) var<uniform> params: Params;
