// sin(πx)/(πx). With n the whole number nearest to x and r = x − n, which is exact, the sine is ±sin(πr): a Taylor
// series in r² with r taken out, off by 6·10⁻⁸ at r = ±½. The language allows its own sine to be off by 2⁻¹¹, which
// divided by a small x is anything.
fn sinc(x: f32) -> f32 {
    let n = round(x);
    let r = x - n;
    let s = r * r;
    let sine = 1.0 + s * (-1.6449341 + s * (0.8117424 + s * (-0.19075182 + s * (0.026147848 + s * -0.0023460810))));
    // Around 0, r is x.
    let is_near = n == 0.0;
    let quotient = select(r, 1.0, is_near) / select(x, 1.0, is_near);
    return select(sine, -sine, (i32(n) & 1) == 1) * quotient;
}

// The window of 3 pixels.
fn lanczos(x: f32) -> f32 {
    return select(0.0, sinc(x) * sinc(x / 3.0), abs(x) < 3.0);
}
