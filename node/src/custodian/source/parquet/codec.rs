//! A page's bytes unfolded into a buffer of exactly the size that its header says: whatever they would unfold to, no more is taken, and
//! what unfolds to any other size is refused. The decoder's own codecs take what comes, and pad what is missing with zeros.

use std::io::Read;

use ::parquet::basic::Compression;

/// What a brotli decoder reads at once.
const INPUT_BYTES: usize = 4096;
/// How a brotli stream begins that asks for a window of up to 1 GiB, beyond what RFC 7932 has.
const LARGE_WINDOW: u8 = 0x11;

/// Fills `into` with what `stored` unfolds to, if it is as long. Beside `into` the codecs take no more than a window: 16 MiB for brotli,
/// 64 KiB for gzip, blocks of at most 8 MiB for frames of lz4, none for the others.
pub(super) fn unfold(codec: Compression, stored: &[u8], into: &mut [u8]) -> Option<()> {
    match codec {
        Compression::SNAPPY => {
            let fits = snap::raw::decompress_len(stored).ok()? == into.len();
            let written = fits.then(|| snap::raw::Decoder::new().decompress(stored, into))?;
            (written.ok()? == into.len()).then_some(())
        }
        Compression::GZIP(_) => exactly(flate2::read::MultiGzDecoder::new(stored), into),
        Compression::BROTLI(_) if stored.first().is_some_and(|b| b & 0x7f == LARGE_WINDOW) => None,
        Compression::BROTLI(_) => exactly(brotli::Decompressor::new(stored, INPUT_BYTES), into),
        Compression::ZSTD(_) => (zstd::bulk::decompress_to_buffer(stored, into).ok()? == into.len()).then_some(()),
        Compression::LZ4_RAW => block(stored, into),
        // Hadoop's blocks; older writers put a frame, or one block, under the same name.
        Compression::LZ4 => blocks(stored, into)
            .or_else(|| exactly(lz4_flex::frame::FrameDecoder::new(stored), into))
            .or_else(|| block(stored, into)),
        Compression::UNCOMPRESSED => (stored.len() == into.len()).then(|| into.copy_from_slice(stored)),
        Compression::LZO => None,
    }
}

/// Whether there is a codec at all.
pub(super) fn known(codec: Compression) -> bool {
    codec != Compression::LZO
}

/// Reads until `into` is full, and one byte more, which must not be there.
fn exactly(mut from: impl Read, into: &mut [u8]) -> Option<()> {
    from.read_exact(into).ok()?;
    matches!(from.read(&mut [0]), Ok(0)).then_some(())
}

/// One block of lz4.
fn block(stored: &[u8], into: &mut [u8]) -> Option<()> {
    (lz4_flex::block::decompress_into(stored, into).ok()? == into.len()).then_some(())
}

/// Blocks of lz4, each behind its size unfolded and its size stored.
fn blocks(mut stored: &[u8], mut into: &mut [u8]) -> Option<()> {
    fn size(bytes: &[u8]) -> Option<(usize, &[u8])> {
        let (size, rest) = bytes.split_first_chunk()?;
        Some((usize::try_from(u32::from_be_bytes(*size)).ok()?, rest))
    }
    while !stored.is_empty() {
        let (unfolded, rest) = size(stored)?;
        let (length, rest) = size(rest)?;
        let (bytes, rest) = rest.split_at_checked(length)?;
        let (part, left) = into.split_at_mut_checked(unfolded)?;
        block(bytes, part)?;
        (stored, into) = (rest, left);
    }
    into.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Write as _};

    /// `bytes` in every codec, and in each form that lz4 has.
    fn folded(bytes: &[u8]) -> [(Compression, Vec<u8>); 8] {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        gzip.write_all(bytes).unwrap();
        let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 3, 22);
        brotli.write_all(bytes).unwrap();
        let mut frame = lz4_flex::frame::FrameEncoder::new(Vec::new());
        frame.write_all(bytes).unwrap();
        let block = lz4_flex::block::compress(bytes);
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let hadoop = [first, second].map(|part| {
            let block = lz4_flex::block::compress(part);
            [&(part.len() as u32).to_be_bytes()[..], &(block.len() as u32).to_be_bytes(), &block].concat()
        });
        [
            (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(bytes).unwrap()),
            (Compression::GZIP(Default::default()), gzip.finish().unwrap()),
            (Compression::BROTLI(Default::default()), brotli.into_inner()),
            (Compression::ZSTD(Default::default()), zstd::bulk::compress(bytes, 1).unwrap()),
            (Compression::LZ4, hadoop.concat()),
            (Compression::LZ4, frame.finish().unwrap()),
            (Compression::LZ4, block.clone()),
            (Compression::LZ4_RAW, block),
        ]
    }

    #[test]
    fn every_codec_unfolds_to_what_was_folded() {
        let bytes: Vec<u8> = (0..100_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for (codec, stored) in folded(&bytes) {
            let mut into = vec![0; bytes.len()];
            assert_eq!(unfold(codec, &stored, &mut into), Some(()), "{codec:?}");
            assert!(into == bytes, "{codec:?}");
        }
    }

    #[test]
    fn what_unfolds_to_another_size_is_refused() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * i) as u8).collect();
        for (codec, stored) in folded(&bytes) {
            for size in [0, 1, 16, 999, 1001, 100_000] {
                assert_eq!(unfold(codec, &stored, &mut vec![0; size]), None, "{codec:?} {size}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_whatever_it_would_unfold_to() {
        for (codec, stored) in folded(&vec![0; 64 << 20]) {
            assert!(stored.len() < 4 << 20, "{codec:?}");
            assert_eq!(unfold(codec, &stored, &mut [0; 16]), None, "{codec:?}");
        }
    }

    /// Zeros without end, counted.
    struct Endless(usize);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            self.0 += buffer.len();
            Ok(buffer.len())
        }
    }

    #[test]
    fn no_more_is_unfolded_than_the_stated_size_and_one_byte() {
        let mut endless = Endless(0);
        assert_eq!(exactly(&mut endless, &mut [0; 16]), None);
        assert_eq!(endless.0, 17);
    }

    #[test]
    fn a_brotli_stream_that_wants_a_large_window_is_refused() {
        let params = brotli::enc::BrotliEncoderParams { large_window: true, lgwin: 28, ..Default::default() };
        let mut stored = Vec::new();
        brotli::BrotliCompress(&mut &[1u8; 100][..], &mut stored, &params).unwrap();
        assert_eq!(stored[0] & 0x7f, LARGE_WINDOW);
        assert_eq!(unfold(Compression::BROTLI(Default::default()), &stored, &mut [0; 100]), None);
    }
}
