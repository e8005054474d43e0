for (var k = 0u; k < DEPTH / 4u; k++) {
    let line = k * BLOCK + pixel;
    let pixels = transpose(mat4x4(
        pixels_tile[line],
        pixels_tile[line + 8u],
        pixels_tile[line + 16u],
        pixels_tile[line + 24u],
    ));
    let a = weights_tile[k * BLOCK + output];
    sum[0] = sum[0] + a.x * pixels[0] + a.y * pixels[1]
        + a.z * pixels[2] + a.w * pixels[3];
    let b = weights_tile[k * BLOCK + output + 8u];
    sum[1] = sum[1] + b.x * pixels[0] + b.y * pixels[1]
        + b.z * pixels[2] + b.w * pixels[3];
    let c = weights_tile[k * BLOCK + output + 16u];
    sum[2] = sum[2] + c.x * pixels[0] + c.y * pixels[1]
        + c.z * pixels[2] + c.w * pixels[3];
    let d = weights_tile[k * BLOCK + output + 24u];
    sum[3] = sum[3] + d.x * pixels[0] + d.y * pixels[1]
        + d.z * pixels[2] + d.w * pixels[3];
}
