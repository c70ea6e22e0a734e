//! Views that come with Bocage, one for each contract of the pack of the same name. They are files like those that a site writes itself:
//! copy one to change it.

use bocage_protocol::settings::Problems;

use crate::view::View;

/// A view that comes with Bocage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// `PACK/VIEW`.
    pub name: &'static str,
    /// The ViewDefinition, as JSON.
    pub view: &'static str,
}

macro_rules! pack {
    ($pack:literal: $($view:literal)*) => {
        &[$(Shipped {
            name: concat!($pack, "/", $view),
            view: include_str!(concat!("../views/", $pack, "/", $view, ".json")),
        }),*]
    };
}

/// FHIR R4, what most hospitals export.
const FHIR_R4_CORE: &[Shipped] = pack!("fhir-r4-core": "allergy_intolerance" "condition" "device" "diagnostic_report" "document_reference"
    "encounter" "immunization" "medication_request" "observation" "patient" "procedure");

/// Views that fill columns of another's rows, where these only refer to a resource: of which view, and the ViewDefinition.
const LOOKED_UP: [(&str, &str); 1] =
    [("fhir-r4-core/medication_request", include_str!("../views/fhir-r4-core/medication.json"))];

/// The ViewDefinition by which what rows of this view only refer to is looked up ([`crate::Reader::looking_up`]).
pub fn looked_up(view: &str) -> Option<&'static str> {
    LOOKED_UP.iter().find(|(of, _)| *of == view).map(|(_, other)| *other)
}

/// All that is shipped.
pub fn shipped() -> &'static [Shipped] {
    FHIR_R4_CORE
}

/// The one of this name.
pub fn find(name: &str) -> Option<&'static Shipped> {
    shipped().iter().find(|shipped| shipped.name == name)
}

impl Shipped {
    /// The view, checked.
    ///
    /// # Errors
    /// It has a mistake; a test sees to it that it has none.
    pub fn view(&self) -> Result<View, Problems> {
        View::load(self.view, self.name)
    }
}

#[cfg(test)]
mod tests {
    use bocage_protocol::contract::{self, Subject};

    use super::*;

    #[test]
    fn every_view_yields_the_columns_of_its_contract_in_their_order() {
        let pack = contract::pack("fhir-r4-core").unwrap();
        assert_eq!(pack.contracts.len(), shipped().len());
        for (shipped, text) in shipped().iter().zip(pack.contracts) {
            let view = shipped.view().unwrap_or_else(|problems| panic!("{problems}"));
            let contract = contract::parse(text, shipped.name).unwrap_or_else(|problems| panic!("{problems}"));
            let yielded: Vec<_> = view.columns().iter().map(|column| column.name.as_str()).collect();
            let agreed: Vec<_> = contract.columns().iter().map(|column| column.name.as_str()).collect();
            assert_eq!(yielded, agreed, "{}", shipped.name);
            assert!(matches!(contract.subject(), Subject::Column(subject) if subject.as_str() == "patient"));
            assert!(contract.time().is_some() || contract.birth().is_some(), "{}", shipped.name);
        }
    }

    #[test]
    fn a_view_is_found_by_the_name_of_its_pack_and_its_own() {
        assert_eq!(find("fhir-r4-core/condition").map(|shipped| shipped.name), Some("fhir-r4-core/condition"));
        assert_eq!(find("condition"), None);
        assert_eq!(shipped().len(), 11);
    }

    #[test]
    fn what_is_looked_up_are_columns_of_the_view_that_looks() {
        for (of, other) in LOOKED_UP {
            let (rows, other) = (find(of).unwrap().view().unwrap(), View::load(other, of).unwrap());
            assert!(other.columns().iter().all(|column| rows.columns().iter().any(|own| own.name == column.name)));
        }
    }
}
