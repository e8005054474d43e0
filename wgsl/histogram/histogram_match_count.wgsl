// partials(g, c, v) = how many pixels of part g have the level v in channel c: an RGBA picture x (H, W), one word a pixel with
// red in the lowest byte, in parts of `part` pixels; partials (parts, 3, 256), whole numbers. They are counted without
// atomics: each thread has levels of its own, and looks at every pixel.
// Threads: one workgroup a part; each thread owns four levels in all three channels, 12 counts in registers.
// Tile: one pixel a thread, which all read in turn. A comparison and an addition a pixel and a count, where an atomic of
// workgroup memory would wait for its neighbours: most pixels of a picture have few levels.

// shared: slice
override WORKGROUP: u32;
override FOLD: u32;

struct Slice { first: u32, end: u32 }
@group(0) @binding(0) var<uniform> slice: Slice;

// A workgroup's number in the line that is folded into y at FOLD, of which this dispatch runs a slice.
fn group_number(group_id: vec3<u32>) -> u32 {
    return slice.first + group_id.y * FOLD + group_id.x;
}
// end

struct Params { count: u32, part: u32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read_write> partials: array<u32>;

const LEVELS: u32 = 256u;

var<workgroup> tile: array<u32, WORKGROUP>;

fn found(level: u32, levels: vec4<u32>) -> vec4<u32> {
    return select(vec4<u32>(0u), vec4<u32>(1u), vec4<u32>(level) == levels);
}

fn store(at: u32, counts: vec4<u32>) {
    partials[at] = counts.x;
    partials[at + 1u] = counts.y;
    partials[at + 2u] = counts.z;
    partials[at + 3u] = counts.w;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let end = min((group + 1u) * params.part, params.count);
    let levels = vec4<u32>(lane * 4u) + vec4<u32>(0u, 1u, 2u, 3u);
    var red = vec4<u32>(0u);
    var green = vec4<u32>(0u);
    var blue = vec4<u32>(0u);
    for (var first = group * params.part; first < end; first += WORKGROUP) {
        tile[lane] = x[min(first + lane, end - 1u)];
        workgroupBarrier();
        let pixels = min(WORKGROUP, end - first);
        for (var k = 0u; k < pixels; k++) {
            let word = tile[k];
            red += found(word & 255u, levels);
            green += found((word >> 8u) & 255u, levels);
            blue += found((word >> 16u) & 255u, levels);
        }
        workgroupBarrier();
    }
    let at = group * 3u * LEVELS + lane * 4u;
    store(at, red);
    store(at + LEVELS, green);
    store(at + 2u * LEVELS, blue);
}
