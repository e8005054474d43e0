// By its bits: a compiler may reason that no NaN comes.
fn is_nan(value: f32) -> bool {
    return (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u;
}

// Whether a cell wins over those before it.
fn beats(value: f32, best: f32) -> bool {
    return !is_nan(best) && (is_nan(value) || value > best);
}
