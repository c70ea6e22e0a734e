//! Counts the resources of a file that is whole, gzip or plain, and sees that each of its lines can be one. A page of a proxy with status 200 is no
//! export.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// What is wrong with a file.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// It cannot be read at all.
    Disk(io::Error),
    /// Its gzip is broken.
    Gzip,
    /// It unfolds to more than the bound.
    TooLarge,
    /// A line that is no JSON object.
    NotJson(u64),
}

/// The beginning of a gzip file, which no NDJSON has.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Whether a file begins as gzip does.
pub(crate) fn is_gzip(path: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    File::open(path)?.take(2).read_to_end(&mut first)?;
    Ok(first == GZIP)
}

/// The resources of a file.
pub(crate) fn count(path: &Path, gzip: bool, limit_bytes: u64) -> Result<u64, Wrong> {
    let file = BufReader::with_capacity(256 << 10, File::open(path).map_err(Wrong::Disk)?);
    if !gzip {
        return count_in(file, limit_bytes, Wrong::Disk);
    }
    count_in(BufReader::with_capacity(256 << 10, MultiGzDecoder::new(file)), limit_bytes, |_| Wrong::Gzip)
}

fn count_in(mut from: impl BufRead, limit_bytes: u64, broken: fn(io::Error) -> Wrong) -> Result<u64, Wrong> {
    let (mut all, mut lines, mut resources) = (0u64, 1u64, 0u64);
    // The first and last byte of the line that are no space.
    let mut line: Option<(u8, u8)> = None;
    let whole = |line: Option<(u8, u8)>, number: u64| match line {
        None => Ok(0),
        Some((b'{', b'}')) => Ok(1),
        Some(_) => Err(Wrong::NotJson(number)),
    };
    loop {
        let piece = match from.fill_buf() {
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        };
        if piece.is_empty() {
            return Ok(resources + whole(line, lines)?);
        }
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let visible = |byte: &&u8| !byte.is_ascii_whitespace();
            if let (Some(first), Some(last)) = (part.iter().find(visible), part.iter().rev().find(visible)) {
                line = Some((line.map_or(*first, |(first, _)| first), *last));
            }
            if parts.peek().is_some() {
                resources += whole(line.take(), lines)?;
                lines += 1;
            }
        }
        let length = piece.len();
        all += length as u64;
        if all > limit_bytes {
            return Err(Wrong::TooLarge);
        }
        from.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str, buffer: usize) -> Result<u64, Wrong> {
        count_in(BufReader::with_capacity(buffer, text.as_bytes()), 1000, Wrong::Disk)
    }

    #[test]
    fn resources_are_lines_with_something_in_them_wherever_the_reader_cuts() {
        for buffer in [1, 2, 7, 100] {
            assert_eq!(counted("{\"a\":1}\n\n {\"b\": 2} \r\n{}", buffer).unwrap(), 3);
            assert_eq!(counted("{}\n{}\n", buffer).unwrap(), 2);
            assert_eq!(counted("", buffer).unwrap(), 0);
            assert!(matches!(counted("{}\n{\"a\":\n{}", buffer), Err(Wrong::NotJson(2))));
            assert!(matches!(counted("<html></html>", buffer), Err(Wrong::NotJson(1))));
        }
        assert!(matches!(counted(&"{}\n".repeat(400), 100), Err(Wrong::TooLarge)));
    }
}
