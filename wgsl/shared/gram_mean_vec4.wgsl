fn mean_weights(pixels: vec4<u32>) -> vec4<f32> {
    return vec4(mean_weight(pixels.x), mean_weight(pixels.y), mean_weight(pixels.z), mean_weight(pixels.w));
}
