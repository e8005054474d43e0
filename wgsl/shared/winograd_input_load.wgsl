let top = (params.first_row + tile / params.tiles_w) * TILE;
let left = tile % params.tiles_w * TILE;

// Pixels outside are read from a place inside and, unless they are its copies, replaced by 0.
let edge = (params.flags & EDGE) != 0u;
let wrap_y = (params.flags & WRAP_Y) != 0u;
let wrap_x = (params.flags & WRAP_X) != 0u;
var column: array<u32, 6>;
var counted: array<bool, 6>;
for (var c = 0u; c < SIDE; c++) {
    counted[c] = edge || wrap_x || left + c - 1u < params.w;
    column[c] = source(left + c, params.w, wrap_x);
}
var cells: array<Number, 36>;
for (var r = 0u; r < SIDE; r++) {
    let row_counted = edge || wrap_y || top + r - 1u < params.h;
    let at = (channel * params.h + source(top + r, params.h, wrap_y)) * params.w;
    var line: array<Number, 6>;
    for (var c = 0u; c < SIDE; c++) {
        line[c] = select(0.0, x[at + column[c]], row_counted && counted[c]);
    }
    line = transform(line);
    for (var c = 0u; c < SIDE; c++) {
        cells[r * SIDE + c] = line[c];
    }
}
