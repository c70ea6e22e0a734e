//! The contract packs in the repository are what their generator makes of the model's own tables.

use std::fs;
use std::path::Path;

use bocage_protocol::contract::pack;
use bocage_tests::omop_packs;

#[test]
fn the_omop_packs_are_what_is_made_of_the_model_s_tables_of_fields() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    for version in ["5.3", "5.4"] {
        let fields = fs::read_to_string(tests.join(format!("data/omop/OMOP_CDMv{version}_Field_Level.csv"))).unwrap();
        let made: Vec<String> = omop_packs::pack(version, &fields).into_iter().map(|file| file.text).collect();
        let embedded = pack(&format!("omop-{version}")).unwrap().contracts;
        assert!(
            made == embedded,
            "run cargo run -p bocage-tests --bin bocage-packs, and look at what changed in protocol/packs"
        );
    }
}
