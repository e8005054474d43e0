struct Params { channels: u32, cells: u32, others: u32, row_groups: u32, split_cells: u32 }
@group(0) @binding(1) var<uniform> params: Params;
