//! Elements that FHIR lets have one of several types: `value[x]` is written `valueQuantity`, `valueString`, ….

/// The elements of R4 and R5 that end in `[x]`.
const CHOICES: &str = "abatement additive administrationRequired age allowed amount answer asNeeded author authority born bounds characteristic chargeItem claimResponse code collected \
    content copyrightLabel country created dateAsserted deceased defaultValue defined definition details diagnosis disposition dose doseNumber due duration effect effective entity \
    event exposure factor fastingStatus fixed geographicLocation identified indication instantiates instance investigated issued item legallyBinding \
    location maxValue maxDose measure medication member method minValue modality multipleBirth name observed occurrence onset operator origin participantEffective \
    pattern penalty performed performer policy population presence probability procedure process product productReference quantity \
    rate reason recipient relatesTo reported resource result route scheduled series seriesDoses serviced source specimen spatial start statusReason \
    studyEffective subject substance supportingInfo target temporal time timing topic triggering type unit usage used value versionAlgorithm \
    volume written";

/// The types that such an element may have.
const TYPES: &str = "Base64Binary Boolean Canonical Code Date DateTime Decimal Id Instant Integer Integer64 Markdown Oid PositiveInt String Time UnsignedInt \
    Uri Url Uuid Address Age Annotation Attachment CodeableConcept CodeableReference Coding ContactPoint Count Distance Duration HumanName \
    Identifier Money Period Quantity Range Ratio RatioRange Reference SampledData Signature Timing ContactDetail Contributor DataRequirement \
    Expression ParameterDefinition RelatedArtifact TriggerDefinition UsageContext Availability ExtendedContactDetail Dosage Meta";

/// What `element` is called for each type that it may have; nothing where it has one type only.
pub fn members(element: &str) -> impl Iterator<Item = String> {
    let choice = CHOICES.split_whitespace().any(|known| known == element);
    TYPES.split_whitespace().filter(move |_| choice).map(move |kind| format!("{element}{kind}"))
}

/// What `element` is called where it has the type `kind`.
pub fn member(element: &str, kind: &str) -> String {
    let mut chars = kind.chars();
    let first = chars.next().map(|c| c.to_ascii_uppercase());
    element.chars().chain(first).chain(chars).collect()
}

/// Whether a type is one of values, not one of resources.
pub fn is_datatype(kind: &str) -> bool {
    let name = member("", kind);
    TYPES.split_whitespace().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_written_with_its_type() {
        assert_eq!(member("value", "dateTime"), "valueDateTime");
        assert!(members("value").any(|member| member == "valueQuantity"));
        assert_eq!(members("birthDate").count(), 0);
        assert!(is_datatype("dateTime") && is_datatype("Quantity") && !is_datatype("Patient"));
    }
}
