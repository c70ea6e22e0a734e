//! Numbers that look random and follow from a seed: SplitMix64 (Steele, Lea, Flood 2014).

/// A seed, and what has come of it.
#[derive(Debug, Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// To three places, as a file has them.
    pub fn within(&mut self, lo: f64, hi: f64) -> f64 {
        ((lo + (hi - lo) * self.share()) * 1000.0).round() / 1000.0
    }

    /// One of 0, 1, …, n − 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.share() * n as f64) as usize
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.share() < probability
    }
}
