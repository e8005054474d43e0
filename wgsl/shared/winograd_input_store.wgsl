let to = (params.first + channel) * params.stride + tile;
let component = params.channels * params.stride;
for (var c = 0u; c < SIDE; c++) {
    var line: array<Number, 6>;
    for (var r = 0u; r < SIDE; r++) {
        line[r] = cells[r * SIDE + c];
    }
    line = transform(line);
    for (var r = 0u; r < SIDE; r++) {
        v[to + (r * SIDE + c) * component] = line[r];
    }
}
