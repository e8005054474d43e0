//! The start noise of a transfer, the same numbers that NumPy's legacy generator gives.
//!
//! The published run of the course that the preset `course` follows drew its noise with `np.random.seed(3)`
//! and `np.random.uniform(-20, 20, (1, H, W, 3))`, after two calls of `np.random.randn()`. NumPy promises
//! that the legacy generator's stream never changes, so the run can be repeated to the bit.

use rand_mt::Mt;

/// The noise lies in [-AMPLITUDE, AMPLITUDE), in units of the 0..255 pixel.
const AMPLITUDE: f64 = 20.0;

/// Noise for a picture of `width` × `height`: planar (3, H, W), uniform in [-20, 20), in 0..255 pixel units.
///
/// Every seed draws and discards two normals first, as the course's notebook did, so that seed 3 is its
/// noise. The numbers are drawn in (y, x, RGB) order whatever the layout of the result.
pub fn uniform_noise(seed: u32, width: u32, height: u32) -> Vec<f32> {
    let mut generator = Mt::new(seed);
    discard_two_normals(&mut generator);
    let pixels = width as usize * height as usize;
    let mut planes = vec![0.0; 3 * pixels];
    for pixel in 0..pixels {
        for channel in 0..3 {
            // NumPy computes low + (high - low)·double in f64; the cast to f32 comes last.
            let drawn = -AMPLITUDE + (AMPLITUDE - -AMPLITUDE) * next_double(&mut generator);
            planes[channel * pixels + pixel] = drawn as f32;
        }
    }
    planes
}

/// A double in [0, 1) with 53 random bits: MT19937's `genrand_res53`, which is NumPy's `random_double`.
fn next_double(generator: &mut Mt) -> f64 {
    let high = f64::from(generator.next_u32() >> 5);
    let low = f64::from(generator.next_u32() >> 6);
    (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
}

/// Advances the generator as two calls of the legacy `randn` do.
///
/// The legacy normal is Marsaglia's polar method: one accepted pair of uniforms gives two normals, and the
/// second is kept for the next call. How many doubles a pair takes depends on the seed, so the rejection has
/// to be played through; the normals themselves are not needed.
fn discard_two_normals(generator: &mut Mt) {
    loop {
        let x = 2.0 * next_double(generator) - 1.0;
        let y = 2.0 * next_double(generator) - 1.0;
        let radius_squared = x * x + y * y;
        if radius_squared < 1.0 && radius_squared != 0.0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    /// The noise in the order in which it was drawn, (y, x, RGB).
    fn as_drawn(seed: u32, width: u32, height: u32) -> Vec<f32> {
        let planes = uniform_noise(seed, width, height);
        let pixels = width as usize * height as usize;
        assert_eq!(planes.len(), 3 * pixels);
        (0..3 * pixels).map(|draw| planes[(draw % 3) * pixels + draw / 3]).collect()
    }

    fn sha256(values: &[f32]) -> String {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn seed_3_is_the_noise_of_the_published_run() {
        let noise = as_drawn(3, 400, 300);
        // The shortest decimals that name these f32.
        assert_eq!(noise[..4], [-8.363811, 0.43310422, 15.717878, 15.851724]);
        assert_eq!(sha256(&noise), "e84145571b7fde8df04889d654f695ebc8e3ae453c06ca25b08484a904b30e75");
    }

    // The expected values are NumPy 2.4.6's own: np.random.seed(s); randn(); randn(); then
    // np.random.uniform(-20, 20, (1, 5, 7, 3)).astype("float32").

    #[test]
    fn a_seed_whose_normals_were_drawn_three_times_agrees_with_numpy() {
        let noise = as_drawn(24, 7, 5);
        assert_eq!(noise[..6], [19.858229, -7.346121, -14.538217, -4.6407995, -7.179229, -5.34341]);
        assert_eq!(noise[102..], [-9.729625, -19.080238, 17.296204]);
        assert_eq!(sha256(&noise), "f2fa543e40d4eb26de69c1041e6a12febac87bab1d88ff508e6b7433e56b279c");
    }

    #[test]
    fn the_largest_seed_agrees_with_numpy() {
        let noise = as_drawn(u32::MAX, 7, 5);
        assert_eq!(noise[..6], [-19.282413, 18.780237, 3.727014, -14.1553135, 16.375004, 2.1494524]);
        assert_eq!(sha256(&noise), "fa8a529a70aedc5962f8c881915081ee006d144d0a7349111627129f76e51ae4");
    }

    #[test]
    fn the_noise_stays_in_its_range() {
        // The cast to f32 may round the largest doubles up to 20 itself, hence the closed end.
        assert!(uniform_noise(7, 64, 64).iter().all(|value| (-20.0..=20.0).contains(value)));
        assert!(uniform_noise(7, 0, 5).is_empty());
    }
}
