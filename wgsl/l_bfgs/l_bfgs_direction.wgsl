// The step as a sum over the history: weights = (of sᵢ for every slot i, of yᵢ, of g, the slot that was spare, the one that
// is), from the totals that l_bfgs_products makes. Also moves on state = (pairs, spare slot, whether there was a step before),
// products = (sᵢ·yⱼ where i is not newer than j, then yᵢ·yⱼ; 2·slots rows of slots) and steps (1); hyper = (learning rate).
// The new pair counts where s·y > LEAST_COSINE·|s|·|y|; then another slot is the spare one: the oldest, where all are used.
// The step is the learning rate times Nocedal's two-loop recursion (Mathematics of Computation 35, 1980) with
// H₀ = s·y/y·y of the newest pair. Vectors are never seen, only their products with the history: Chen, Wang and Zhou,
// "Large-scale L-BFGS using MapReduce", NIPS 2014. Where there is no pair, or rounding made of it a step that does not go down,
// the step is against the gradient, of a mean size of the learning rate, and the history begins anew; scale = elements of g.
// Threads: one workgroup; thread i has the slot i, and knows the products of sᵢ and yᵢ with the vector that the recursion has
// come to. In each round the thread of one slot shares its weight, and all change their products by it.

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

struct Params { slots: u32, scale: f32 }
@group(0) @binding(1) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> hyper: array<f32>;
@group(0) @binding(3) var<storage, read> totals: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> products: array<f32>;
@group(0) @binding(6) var<storage, read_write> steps: array<f32>;
@group(0) @binding(7) var<storage, read_write> weights: array<f32>;

// Below it, what s·y has of its sign is rounding.
const LEAST_COSINE: f32 = 1e-6;
// Squares below it have lost digits, and quotients of them may overflow.
const LEAST: f32 = 1e-30;

var<workgroup> sums: array<f32, WORKGROUP>;
var<workgroup> shared_weight: f32;

// sᵢ·yⱼ, where i is not newer than j. What is in `fresh`, the slot of a new pair, is in no product yet.
fn s_by_y(i: u32, j: u32, fresh: u32) -> f32 {
    if (j == fresh) {
        return totals[i].x;
    }
    return products[i * params.slots + j];
}

// yᵢ·yⱼ.
fn y_by_y(i: u32, j: u32, fresh: u32) -> f32 {
    if (j == fresh) {
        return totals[i].z;
    }
    if (i == fresh) {
        return totals[j].z;
    }
    return products[(params.slots + i) * params.slots + j];
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = group_number(group_id);
    if (group >= slice.end) {
        return;
    }
    let slots = params.slots;
    let spare = u32(state[1]);
    let of_gradient = totals[slots];
    let pair = totals[spare];
    let is_kept = state[2] > 0.0 && pair.z >= LEAST && of_gradient.z >= LEAST
        && pair.x > LEAST_COSINE * sqrt(pair.z) * sqrt(of_gradient.z);
    let pairs = min(u32(state[0]) + select(0u, 1u, is_kept), slots - 1u);
    let next = (spare + select(0u, 1u, is_kept)) % slots;
    let fresh = select(slots, spare, is_kept);
    let own = min(lane, slots - 1u);
    let own_totals = totals[own];

    // From the newest pair to the oldest: q = −g − Σ α·y.
    var along_s = -own_totals.y;
    var along_y = -own_totals.w;
    var alpha = 0.0;
    for (var age = 1u; age < slots; age++) {
        let slot = (next + slots - age) % slots;
        let is_pair = age <= pairs;
        if (lane == slot) {
            if (is_pair) {
                alpha = along_s / s_by_y(slot, slot, fresh);
            }
            shared_weight = alpha;
        }
        workgroupBarrier();
        let weight = shared_weight;
        if (is_pair) {
            along_s -= weight * s_by_y(own, slot, fresh);
            along_y -= weight * y_by_y(own, slot, fresh);
        }
        workgroupBarrier();
    }

    // From the oldest to the newest: H₀·q + Σ (α − β)·s.
    let newest = (next + slots - 1u) % slots;
    var scaling = 1.0;
    if (pairs > 0u) {
        scaling = s_by_y(newest, newest, fresh) / y_by_y(newest, newest, fresh);
    }
    along_y *= scaling;
    var of_s = 0.0;
    for (var age = slots - 1u; age > 0u; age--) {
        let slot = (next + slots - age) % slots;
        let is_pair = age <= pairs;
        if (lane == slot) {
            if (is_pair) {
                of_s = alpha - along_y / s_by_y(slot, slot, fresh);
            }
            shared_weight = of_s;
        }
        workgroupBarrier();
        let weight = shared_weight;
        if (is_pair) {
            along_y += weight * s_by_y(slot, own, fresh);
        }
        workgroupBarrier();
    }

    // How fast the cost changes along it.
    sums[lane] = select(0.0, of_s * own_totals.y - scaling * alpha * own_totals.w, lane < slots);
    // shared: sum_tree
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if (lane < half) {
            sums[lane] += sums[lane + half];
        }
    }
    // end
    workgroupBarrier();
    let slope = sums[0] - scaling * of_gradient.y;
    let goes_down = pairs > 0u && slope < 0.0;
    let rate = hyper[0];
    if (lane < slots) {
        weights[lane] = select(0.0, rate * of_s, goes_down);
        weights[slots + lane] = select(0.0, -rate * scaling * alpha, goes_down);
        if (is_kept) {
            products[lane * slots + spare] = own_totals.x;
            products[(slots + lane) * slots + spare] = own_totals.z;
            products[(slots + spare) * slots + lane] = own_totals.z;
        }
    }
    if (lane == 0u) {
        // Not >=, which would hide a NaN.
        var against = -rate * params.scale / of_gradient.x;
        if (of_gradient.x < LEAST) {
            against = 0.0;
        }
        weights[2u * slots] = select(against, -rate * scaling, goes_down);
        weights[2u * slots + 1u] = f32(spare);
        weights[2u * slots + 2u] = f32(next);
        state[0] = f32(select(0u, pairs, goes_down));
        state[1] = f32(next);
        state[2] = 1.0;
        steps[0] = steps[0] + 1.0;
    }
}
