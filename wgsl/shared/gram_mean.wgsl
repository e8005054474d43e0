// The gradient of the mean of an output channel, which reaches all of its pixels alike: the last row of dy.
const MEAN: u32 = 64u;

fn mean_gradient(output: u32) -> f32 {
    return dy[params.channels * params.channels + params.out_first + output];
}
