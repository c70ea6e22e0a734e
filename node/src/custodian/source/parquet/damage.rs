//! Parquet files after an accident: nothing that a file holds makes the reader panic, take memory without bound, or give other rows
//! where checksums tell.

use std::fs;
use std::io::Write as _;

use polars::prelude::DataFrame;
use proptest::prelude::*;

use super::super::reading::whole;
use super::made::{Compression, EnabledStatistics, Encoding, Values, WriterProperties, WriterVersion, file, texts};
use super::reading::{fill, over};
use super::sink::{Shared, Sink};
use super::*;

/// Eight invented rows with page checksums, which the decoder's own other half does not write.
const CHECKSUMMED: &[u8] = include_bytes!("checksummed.parquet");

struct Place {
    _dir: tempfile::TempDir,
    source: ParquetSource,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source =
            ParquetSource { path: dir.path().join("rows.parquet"), columns: None, missing: vec![String::new()] };
        Self { _dir: dir, source }
    }

    /// All columns of a file, or what the refusal says.
    fn read(&self, bytes: &[u8]) -> Result<DataFrame, String> {
        // A file that is cut to nothing and written again is put on the disk at once by some file systems, a new one is not.
        let _ = fs::remove_file(&self.source.path);
        fs::write(&self.source.path, bytes).unwrap();
        let says =
            |error: SourceError| error.to_string().replace(&self.source.path.display().to_string(), "rows.parquet");
        let opened = OpenedParquet::open(&self.source).map_err(says)?;
        let all: Vec<ColumnName> =
            opened.columns().into_iter().filter(|name| opened.readable(std::slice::from_ref(name)).is_ok()).collect();
        let size = BatchSize { rows: 3, bytes: usize::MAX };
        opened.read(&all, size).and_then(whole).map(|(rows, _)| rows).map_err(says)
    }
}

/// A small file with every way of encoding.
fn small(version: WriterVersion, codec: Compression, dictionary: bool) -> Vec<u8> {
    let columns = "optional int64 id; required binary t (STRING); optional binary u (STRING); required int96 at;
        optional fixed_len_byte_array(3) d (DECIMAL(6,2)); optional boolean b; optional double x;";
    let group = |from: i64| {
        vec![
            Values::Int64((from..from + 9).map(|i| (i % 4 != 0).then_some(i * 1_000_000_007)).collect()),
            texts(&["one", "two", "three", "two", "two", "one", "seven", "eight", "nine"]),
            Values::Bytes((from..from + 9).map(|i| (i % 3 != 0).then(|| format!("text {i}").into_bytes())).collect()),
            Values::Int96((0..9).map(|i| Some([i, 0, 2_440_588 + i])).collect()),
            Values::Fixed((0..9).map(|i| (i != 4).then(|| vec![0, 1, i])).collect()),
            Values::Bool((0..9).map(|i| Some(i % 2 == 0)).collect()),
            Values::Double((0..9).map(|i| Some(f64::from(i) / 8.0)).collect()),
        ]
    };
    // Statistics and indices are not read.
    let mut properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_compression(codec)
        .set_dictionary_enabled(dictionary)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true);
    if !dictionary {
        properties = properties
            .set_column_encoding("id".into(), Encoding::DELTA_BINARY_PACKED)
            .set_column_encoding("t".into(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            .set_column_encoding("u".into(), Encoding::DELTA_BYTE_ARRAY);
    }
    file(columns, properties, &[group(0), group(100)])
}

fn smalls() -> [Vec<u8>; 3] {
    [
        small(WriterVersion::PARQUET_1_0, Compression::UNCOMPRESSED, true),
        small(WriterVersion::PARQUET_2_0, Compression::SNAPPY, false),
        small(WriterVersion::PARQUET_1_0, Compression::UNCOMPRESSED, false),
    ]
}

#[test]
fn a_damaged_byte_anywhere_never_makes_the_reader_panic() {
    let place = Place::new();
    for sound in smalls() {
        assert_eq!(place.read(&sound).unwrap().shape(), (18, 7));
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= [0x01, 0x80, 0xff][at % 3];
            let _ = place.read(&bytes);
        }
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let place = Place::new();
    let sound = &smalls()[0];
    for length in 0..sound.len() {
        let says = place.read(&sound[..length]).unwrap_err();
        let wanted = if length == 0 { "the file is empty" } else { "\n  hint: " };
        assert!(says.starts_with("rows.parquet: ") && says.contains(wanted), "{length}: {says}");
    }
}

#[test]
fn where_pages_have_checksums_damage_to_a_page_never_changes_a_row() {
    let place = Place::new();
    let sound = place.read(CHECKSUMMED).unwrap();
    assert_eq!(sound.shape(), (8, 3));
    let footer = u32::from_le_bytes(*CHECKSUMMED[..CHECKSUMMED.len() - 4].last_chunk().unwrap()) as usize;
    let pages = 4..CHECKSUMMED.len() - footer - 8;
    let mut refused = 0;
    for at in pages.clone() {
        let mut bytes = CHECKSUMMED.to_vec();
        bytes[at] ^= 0x10;
        match place.read(&bytes) {
            Ok(rows) => assert!(rows.equals_missing(&sound), "byte {at} changed the rows"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > pages.len() / 2, "{refused} of {}", pages.len());
}

proptest! {
    #[test]
    fn any_bytes_between_the_marks_are_refused_or_read(
        pages in prop::collection::vec(any::<u8>(), 0..200),
        footer in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let length = (footer.len() as u32).to_le_bytes();
        let bytes = [MAGIC, &pages[..], &footer, &length, MAGIC].concat();
        let _ = Place::new().read(&bytes);
    }

    #[test]
    fn damage_in_several_places_never_makes_the_reader_panic(
        which in 0usize..3,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = smalls()[which].clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Place::new().read(&bytes);
    }
}

/// The file with the first occurrence of `old` replaced.
fn with(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|w| w == old).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn what_a_page_says_of_itself_is_checked_before_room_is_made_for_it() {
    let place = Place::new();
    let properties = || WriterProperties::builder().set_offset_index_disabled(true);
    let of = |properties, texts: Values| file("required binary x (STRING);", properties, &[vec![texts]]);
    let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let group = "rows.parquet: column `x`, row group 1 (rows 1 to 3): ";
    // A page header: kind, size unfolded, size stored.
    let sound = of(properties().set_dictionary_enabled(false), texts(&["a", "b", "c"]));
    assert_eq!(sound[4..10], [0x15, 0, 0x15, 30, 0x15, 30]);
    let bomb = [&sound[..7], &huge[..], &sound[8..]].concat();
    let says = place.read(&bomb).unwrap_err();
    assert!(says.starts_with(&format!("{group}one of its pages is larger than 256 MiB\n  hint: ")), "{says}");
    // A dictionary of three values that says it has 2^27, and a section of lengths that says the same.
    let many = [0x80, 0x80, 0x80, 0x80, 0x01];
    let sound = of(properties(), texts(&["a", "b", "c"]));
    let says =
        place.read(&with(&sound, &[0x4c, 0x15, 6, 0x15], &[&[0x4c, 0x15], &many[..], &[0x15]].concat())).unwrap_err();
    assert!(
        says.starts_with(&format!("{group}one of its pages holds more values than bytes for them\n  hint: ")),
        "{says}"
    );
    for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
        let properties = properties().set_dictionary_enabled(false).set_encoding(encoding);
        let sound = of(properties, texts(&["a", "b", "c"]));
        let at = sound.windows(4).rposition(|w| w == [0x80, 1, 4, 3]).unwrap();
        let mut bytes = sound.clone();
        // Four bytes of the block behind the header take part in the number; the section's own end does not matter any more.
        bytes[at + 3..at + 7].copy_from_slice(&[0x80, 0x80, 0x80, 0x01]);
        let says = place.read(&bytes).unwrap_err();
        assert!(
            says.starts_with(&format!("{group}one of its pages holds more values than bytes for them\n  hint: ")),
            "{says}"
        );
    }
}

/// A page header and its page, of one column of four-byte numbers: the size that it says to unfold to, and what is stored.
fn page(says: u32, values: u8, stored: &[u8], behind: &[u8]) -> Vec<u8> {
    let sizes = [varint(2 * u64::from(says)), vec![0x15], varint(2 * stored.len() as u64)].concat();
    let of_values = [0x2c, 0x15, 2 * values, 0x15, 0, 0x15, 6, 0x15, 6, 0];
    [&[0x15, 0, 0x15][..], &sizes, &of_values, behind, &[0], stored].concat()
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A file of one such page, which a writer of good will does not write.
fn crafted(codec: u8, values: u8, page: &[u8]) -> Vec<u8> {
    let length = varint(2 * page.len() as u64);
    let rows = 2 * values;
    let meta = [
        &[0x15, 2, 0x19, 0x15, 0, 0x19, 0x18, 1, b'x', 0x15, 2 * codec, 0x16, rows, 0x16][..],
        &length,
        &[0x16],
        &length,
        &[0x26, 8, 0],
    ]
    .concat();
    let chunk = [&[0x26, 8, 0x1c][..], &meta, &[0]].concat();
    let group = [&[0x19, 0x1c][..], &chunk, &[0x16], &length, &[0x16, rows, 0]].concat();
    let schema = [0x19, 0x2c, 0x48, 1, b's', 0x15, 2, 0, 0x15, 2, 0x25, 0, 0x18, 1, b'x', 0];
    let footer = [&[0x15, 2][..], &schema, &[0x16, rows, 0x19, 0x1c], &group, &[0]].concat();
    let end = (footer.len() as u32).to_le_bytes();
    [MAGIC, page, &footer, &end, MAGIC].concat()
}

const SNAPPY: u8 = 1;
const GZIP: u8 = 2;
const BROTLI: u8 = 4;

/// Four numbers, and what snappy makes of them: their length and one literal.
const FOUR: [u8; 16] = [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0];

fn snappy() -> Vec<u8> {
    [&[16, 0x3c][..], &FOUR].concat()
}

#[test]
fn a_page_that_unfolds_to_more_than_it_says_is_refused() {
    let place = Place::new();
    let sound = place.read(&crafted(SNAPPY, 4, &page(16, 4, &snappy(), &[]))).unwrap();
    assert_eq!(sound.column("x").unwrap().str().unwrap().iter().flatten().collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    let zeros = vec![0; 64 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    gzip.write_all(&zeros).unwrap();
    let mut brotli = brotli::CompressorWriter::new(Vec::new(), 4096, 3, 22);
    brotli.write_all(&zeros).unwrap();
    for (codec, bomb) in [(GZIP, gzip.finish().unwrap()), (BROTLI, brotli.into_inner())] {
        let says = place.read(&crafted(codec, 4, &page(16, 4, &bomb, &[]))).unwrap_err();
        assert!(says.contains("one of its pages does not unfold to the size that it says\n  hint: "), "{says}");
    }
}

#[test]
fn a_page_that_unfolds_to_less_than_it_says_has_no_invented_rows() {
    let says = Place::new().read(&crafted(SNAPPY, 16, &page(64, 16, &snappy(), &[]))).unwrap_err();
    assert!(says.contains("one of its pages does not unfold to the size that it says\n  hint: "), "{says}");
}

#[test]
fn a_page_header_that_says_its_size_twice_is_refused() {
    // Field 2 once more, behind field 5: 2^31 - 1.
    let again = [0x05, 4, 0xfe, 0xff, 0xff, 0xff, 0x0f];
    let says = Place::new().read(&crafted(SNAPPY, 4, &page(16, 4, &snappy(), &again))).unwrap_err();
    assert!(says.contains("one of its pages has no header that can be read\n  hint: "), "{says}");
}

#[test]
fn the_pages_of_a_file_unfold_to_no_more_than_a_file_of_its_size_can_hold_however_often_it_names_them() {
    let place = Place::new();
    let bytes = crafted(SNAPPY, 4, &page(16, 4, &snappy(), &[]));
    fs::write(&place.source.path, bytes).unwrap();
    let x: ColumnName = "x".parse().unwrap();
    let mut opened = OpenedParquet::open(&place.source).unwrap();
    let leaf = opened.leaves(std::slice::from_ref(&x)).unwrap()[0].1;
    let shared = Shared::new(1000);
    let read = |opened: &OpenedParquet| {
        let mut column = opened.decoder(0, 4, leaf)?;
        fill(&mut column, leaf, 4, &mut Sink::new(&x, 0, &[], &shared))?;
        over(&mut column, true)
    };
    // Twice its header of 19 bytes and its page of 18.
    opened.room = Room::new(2 * (19 + 18));
    assert!(read(&opened).is_ok() && read(&opened).is_ok());
    assert!(matches!(read(&opened), Err(Fault::Broken(TOO_LARGE))));
}
