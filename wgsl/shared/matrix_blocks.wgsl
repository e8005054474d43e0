// Row and column of the first element of a block of `rows` × `columns` elements: the `group`th that is computed. Of a
// symmetric product, each line of blocks begins with the one that the diagonal passes through.
fn block_origin(group: u32, rows: u32, columns: u32) -> vec2<u32> {
    let across = (params.size + columns - 1u) / columns;
    if (params.symmetric == 0u) {
        return vec2(group / across * rows, group % across * columns);
    }
    var row = 0u;
    var block = group;
    var first = 0u;
    while (row < params.size && block >= across - first) {
        block -= across - first;
        row += rows;
        first = row / columns;
    }
    return vec2(row, (first + block) * columns);
}
