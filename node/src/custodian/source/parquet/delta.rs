//! How many numbers a section of delta-encoded ones (DELTA_BINARY_PACKED) says that it has. The decoder makes room for them before it
//! reads one, so texts' lengths, which are encoded so, are counted first.

/// Whether each of the `sections` that `data` begins with says that it has no more than `most` numbers. What cannot be followed is left
/// to the decoder, which then fails at the same place.
pub(super) fn fits(data: &[u8], sections: usize, most: u64) -> bool {
    let mut rest = data;
    for _ in 0..sections {
        let Some((numbers, behind)) = header(rest) else { return true };
        if numbers.count > most {
            return false;
        }
        let Some(behind) = numbers.skip(behind) else { return true };
        rest = behind;
    }
    true
}

/// A section's header.
struct Numbers {
    block: u64,
    miniblocks: u64,
    count: u64,
}

fn header(data: &[u8]) -> Option<(Numbers, &[u8])> {
    let (block, rest) = varint(data)?;
    let (miniblocks, rest) = varint(rest)?;
    let (count, rest) = varint(rest)?;
    let (_first, rest) = varint(rest)?;
    Some((Numbers { block, miniblocks, count }, rest))
}

impl Numbers {
    /// What follows the section. Each block is a smallest delta, the bit width of each miniblock, and the miniblocks that are needed.
    fn skip<'a>(&self, data: &'a [u8]) -> Option<&'a [u8]> {
        let of_miniblock = self.block.checked_div(self.miniblocks).filter(|n| *n > 0)?;
        let mut left = self.count.saturating_sub(1);
        let mut rest = data;
        while left > 0 {
            let (_smallest, behind) = varint(rest)?;
            let (widths, behind) = behind.split_at_checked(usize::try_from(self.miniblocks).ok()?)?;
            rest = behind;
            for width in widths {
                if left > 0 {
                    let bytes = of_miniblock.checked_mul(u64::from(*width))?.div_ceil(8);
                    rest = rest.get(usize::try_from(bytes).ok()?..)?;
                    left = left.saturating_sub(of_miniblock);
                }
            }
        }
        Some(rest)
    }
}

/// A number of up to 64 bits, seven in each byte, the lowest first; and what follows it.
pub(super) fn varint(data: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in data.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &data[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three numbers: one block of 128 in four miniblocks, of which one is needed, with two bits a number.
    const SECTION: [u8; 17] = [0x80, 1, 4, 3, 2, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];

    #[test]
    fn numbers_are_counted_in_every_section() {
        assert!(fits(&SECTION, 1, 3));
        assert!(!fits(&SECTION, 1, 2));
        // The second section begins where eight bytes of the first one's miniblock end.
        let two = [&SECTION[..10], &[0; 8], &[0x80, 1, 4, 0xff, 0xff, 0xff, 0x7f, 0]].concat();
        assert!(fits(&two, 1, 3));
        assert!(!fits(&two, 2, 3));
    }

    #[test]
    fn what_cannot_be_followed_is_left_to_the_decoder() {
        for data in [&[][..], &[0x80], &[0x80, 1, 0, 3, 0], &[0x80, 1, 4, 3, 2, 0, 255, 255, 255, 255], &[0xff; 32]] {
            assert!(fits(data, 2, 3));
        }
    }

    #[test]
    fn a_number_has_seven_bits_in_each_byte() {
        assert_eq!(varint(&[0x96, 0x01, 7]), Some((150, &[7][..])));
        let widest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&widest), Some((u64::MAX, &[][..])));
        assert_eq!(varint(&[0x80; 11]), None);
    }
}
