//! Contracts that come with Bocage: packs of tables that belong together, each a file that people can look at. A pack's contracts are contracts like any other
//! once they are in a network's folder; nothing refers to a pack later.

/// Contracts that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// Its name: `omop-5.4`.
    pub name: &'static str,
    /// A line for people.
    pub about: &'static str,
    /// The contracts' texts.
    pub contracts: &'static [&'static str],
}

macro_rules! texts {
    ($pack:literal: $($table:literal)*) => {
        &[$(include_str!(concat!("../../packs/", $pack, "/", $table, ".toml"))),*]
    };
}

/// Every pack.
pub const PACKS: &[Pack] = &[
    Pack {
        name: "fhir-r4-core",
        about: "FHIR R4 as the views of the same name read it",
        contracts: texts!("fhir-r4-core": "allergy_intolerance" "condition" "device" "diagnostic_report" "document_reference" "encounter"
            "immunization" "medication_request" "observation" "patient" "procedure"),
    },
    Pack {
        name: "omop-5.3",
        about: "the clinical tables of the OMOP common data model 5.3",
        contracts: texts!("omop-5.3": "person" "observation_period" "visit_occurrence" "visit_detail" "condition_occurrence" "drug_exposure"
            "procedure_occurrence" "device_exposure" "measurement" "observation" "specimen" "death" "condition_era" "drug_era" "dose_era"),
    },
    Pack {
        name: "omop-5.4",
        about: "the clinical tables of the OMOP common data model 5.4",
        contracts: texts!("omop-5.4": "person" "observation_period" "visit_occurrence" "visit_detail" "condition_occurrence" "drug_exposure"
            "procedure_occurrence" "device_exposure" "measurement" "observation" "specimen" "death" "condition_era" "drug_era" "dose_era" "episode"),
    },
];

/// The pack of this name.
pub fn pack(name: &str) -> Option<&'static Pack> {
    PACKS.iter().find(|pack| pack.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_pack_s_contracts_are_sound_and_no_two_have_one_id() {
        let mut ids = HashSet::new();
        for pack in PACKS {
            assert_eq!(super::pack(pack.name), Some(pack));
            for (i, text) in pack.contracts.iter().enumerate() {
                let contract = crate::contract::parse(text, &format!("{}[{i}]", pack.name)).unwrap();
                assert!(ids.insert(contract.id().clone()), "{}", contract.id());
            }
        }
        assert_eq!(super::pack("omop"), None);
    }
}
