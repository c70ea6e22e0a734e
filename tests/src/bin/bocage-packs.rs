//! Writes the OMOP contract packs anew: `cargo run -p bocage-tests --bin bocage-packs`. See `omop_packs`.

use std::fs;
use std::path::Path;

use bocage_tests::omop_packs::pack;

fn main() -> std::io::Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    for version in ["5.3", "5.4"] {
        let fields = fs::read_to_string(tests.join(format!("data/omop/OMOP_CDMv{version}_Field_Level.csv")))?;
        let folder = tests.join(format!("../protocol/packs/omop-{version}"));
        fs::create_dir_all(&folder)?;
        for file in pack(version, &fields) {
            fs::write(folder.join(format!("{}.toml", file.table)), file.text)?;
        }
    }
    Ok(())
}
