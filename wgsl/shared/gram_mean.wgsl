// The gradient of the mean of an output channel: the last row of dy. It reaches all of the channel's pixels, each as much as
// the guidance says, or alike where none takes part.
const MEAN: u32 = 64u;
const GUIDED: u32 = 128u;

fn mean_gradient(output: u32) -> f32 {
    return dy[params.channels * params.channels + params.out_first + output];
}

fn mean_weight(pixel: u32) -> f32 {
    var weight = 1.0;
    if ((params.flags & GUIDED) != 0u) {
        weight = guidance[pixel];
    }
    return weight;
}
