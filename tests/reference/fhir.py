#!/usr/bin/env python3
"""What the views of fhir-r4-core yield, read by other means: the standard library's JSON, and each column written out as code.

    python3 tests/reference/fhir.py FOLDER... > tests/reference/fhir.json

For each folder of an export and each view: resources, rows, and for each column how many cells are there and the sum of the
CRC-32 of each. Neither FHIRPath nor the views are looked at.
"""
import gzip, json, pathlib, sys, zlib

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
RXNORM, CVX = "http://www.nlm.nih.gov/research/umls/rxnorm", "http://hl7.org/fhir/sid/cvx"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


class Number(str):
    """A number as it was written."""


def resources(folder):
    """Each resource with what its references mean: a dict of urn to (type, id)."""
    for file in sorted(pathlib.Path(folder).iterdir()):
        opened = gzip.open(file, "rt") if file.suffix == ".gz" else open(file)
        with opened as text:
            if ".json" in file.name:
                entries = json.loads(text.read(), parse_float=Number, parse_int=Number)["entry"]
                urns = {e["fullUrl"]: (e["resource"]["resourceType"], e["resource"]["id"]) for e in entries}
                for entry in entries:
                    yield entry["resource"], urns
            else:
                for line in text:
                    if line.strip():
                        yield json.loads(line, parse_float=Number, parse_int=Number), {}


def many(value):
    return [] if value is None else value if isinstance(value, list) else [value]


def coded(concepts, system):
    """The first code of a system, and the first that is of another, with that."""
    codings = [c for concept in many(concepts) for c in concept.get("coding", [])]
    main = [c["code"] for c in codings if c.get("system") == system and "code" in c]
    others = [c for c in codings if c.get("system") != system]
    return {
        "code": said(*main), "other_code": said(*(c.get("code") for c in others)), "other_system": said(*(c.get("system") for c in others)),
    }


def first(concepts):
    codes = [c["code"] for concept in many(concepts) for c in concept.get("coding", []) if "code" in c]
    return codes[0] if codes else None


def key(reference, kind, urns):
    target = (reference or {}).get("reference")
    if target is None:
        return None
    if target in urns:
        found, name = urns[target]
    else:
        parts = target.split("/")
        if len(parts) < 2:
            return None
        found, name = parts[-2:]
    return name if found == kind else None


def said(*values):
    """The first that is there."""
    return next((v for v in values if v is not None), None)


def happened(*values):
    """When: the first that is there, and the same where it says the time of day."""
    when = said(*values)
    return {"date": when, "instant": when if when and "T" in when else None}


def truth(value):
    return None if value is None else "true" if value else "false"


def extension(resource, name, inner=None):
    for e in resource.get("extension", []):
        if e["url"] == US_CORE + name:
            if inner is None:
                return e.get("valueCode")
            for i in e.get("extension", []):
                if i["url"] == inner:
                    return i["valueCoding"]["code"]
    return None


def patient(r, u):
    address = many(r.get("address"))
    marital = [c["code"] for c in r.get("maritalStatus", {}).get("coding", []) if c["system"].startswith("http://terminology.hl7.org/CodeSystem/v3-")]
    yield {
        "patient": r["id"], "gender": r.get("gender"), "birth_date": r.get("birthDate"),
        "deceased": truth("deceasedDateTime" in r or r.get("deceasedBoolean", False)), "death_date": r.get("deceasedDateTime"),
        "marital_status": marital[0] if marital else None, "birth_sex": extension(r, "birthsex"),
        "race": extension(r, "race", "ombCategory"), "ethnicity": extension(r, "ethnicity", "ombCategory"),
        "state": said(*(a.get("state") for a in address)), "country": said(*(a.get("country") for a in address)),
    }


def common(r, u, subject="subject"):
    return {"patient": key(r.get(subject), "Patient", u), "encounter": key(r.get("encounter"), "Encounter", u)}


def condition(r, u):
    icd = {c["system"]: c["code"] for c in reversed(r.get("code", {}).get("coding", [])) if "icd-10" in c.get("system", "")}
    yield common(r, u) | coded(r.get("code"), SNOMED) | {
        "icd10": icd.get("http://hl7.org/fhir/sid/icd-10"), "icd10cm": icd.get("http://hl7.org/fhir/sid/icd-10-cm"),
        "icd10gm": icd.get("http://fhir.de/CodeSystem/bfarm/icd-10-gm"),
        **happened(r.get("onsetDateTime"), r.get("onsetPeriod", {}).get("start"), r.get("recordedDate")),
        "end_date": said(r.get("abatementDateTime"), r.get("abatementPeriod", {}).get("start")),
        "clinical_status": first(r.get("clinicalStatus")), "verification_status": first(r.get("verificationStatus")),
        "category": first(r.get("category")),
    }


def value(r):
    quantity = r.get("valueQuantity", {})
    exact = "comparator" not in quantity
    held = {"valueQuantity", "valueInteger", "valueCodeableConcept", "valueBoolean"}
    return coded(r.get("code"), LOINC) | {
        "value": said(quantity.get("value") if exact else None, r.get("valueInteger")), "comparator": quantity.get("comparator"),
        "bound": None if exact else quantity.get("value"), "unit": said(quantity.get("code"), quantity.get("unit")),
        "value_code": first(r.get("valueCodeableConcept")), "value_bool": truth(r.get("valueBoolean")),
        "value_other": truth(any(k.startswith("value") and k not in held for k in r)),
    }


def observation(r, u):
    when = happened(r.get("effectiveDateTime"), r.get("effectiveInstant"), r.get("effectivePeriod", {}).get("start"), r.get("issued"))
    shared = common(r, u) | when | {
        "status": r.get("status"), "category": first(r.get("category")),
    }
    if any(k.startswith("value") for k in r) or not r.get("component"):
        yield shared | {"part": "0"} | value(r)
    for component in r.get("component", []):
        yield shared | {"part": "1"} | value(component)


def encounter(r, u):
    yield {"encounter": r["id"], "patient": key(r.get("subject"), "Patient", u), "status": r.get("status"), "class": r.get("class", {}).get("code")} | coded(r.get("type"), SNOMED) | {
        "reason": coded(r.get("reasonCode"), SNOMED)["code"], **happened(r.get("period", {}).get("start")), "end_date": r.get("period", {}).get("end"),
        "discharge": first(r.get("hospitalization", {}).get("dischargeDisposition")),
    }


def medication_request(r, u):
    contained = [c["code"] for c in r.get("contained", []) if c["resourceType"] == "Medication" and "code" in c]
    as_needed = [d["asNeededBoolean"] for d in r.get("dosageInstruction", []) if "asNeededBoolean" in d]
    yield common(r, u) | coded(r.get("medicationCodeableConcept") or contained, RXNORM) | {
        "medication": key(r.get("medicationReference"), "Medication", u), **happened(r.get("authoredOn")), "status": r.get("status"),
        "intent": r.get("intent"), "as_needed": truth(as_needed[0]) if as_needed else None,
    }


def procedure(r, u):
    period = r.get("performedPeriod", {})
    yield common(r, u) | coded(r.get("code"), SNOMED) | {
        **happened(r.get("performedDateTime"), period.get("start")), "end_date": period.get("end"), "status": r.get("status"),
        "category": first(r.get("category")),
    }


def immunization(r, u):
    doses = [p["doseNumberPositiveInt"] for p in r.get("protocolApplied", []) if "doseNumberPositiveInt" in p]
    yield common(r, u, "patient") | coded(r.get("vaccineCode"), CVX) | {
        "date": r.get("occurrenceDateTime"), "status": r.get("status"), "primary_source": truth(r.get("primarySource")),
        "dose_number": doses[0] if doses else None,
    }


def allergy_intolerance(r, u):
    yield common(r, u, "patient") | coded(r.get("code"), SNOMED) | {
        "date": said(r.get("onsetDateTime"), r.get("onsetPeriod", {}).get("start"), r.get("recordedDate")),
        "clinical_status": first(r.get("clinicalStatus")), "verification_status": first(r.get("verificationStatus")),
        "type": r.get("type"), "category": said(*r.get("category", [])), "criticality": r.get("criticality"),
    }


def diagnostic_report(r, u):
    yield common(r, u) | coded(r.get("code"), LOINC) | {
        "date": said(r.get("effectiveDateTime"), r.get("effectivePeriod", {}).get("start"), r.get("issued")), "status": r.get("status"),
        "category": first(r.get("category")), "results": str(len(r.get("result", []))),
    }


def document_reference(r, u):
    attachments = [c["attachment"] for c in r.get("content", [])]
    context = r.get("context", {})
    yield {"patient": key(r.get("subject"), "Patient", u), "encounter": said(*(key(e, "Encounter", u) for e in many(context.get("encounter"))))} | coded(r.get("type"), LOINC) | {
        "date": said(r.get("date"), *(a.get("creation") for a in attachments), context.get("period", {}).get("start")),
        "status": r.get("status"), "doc_status": r.get("docStatus"), "category": first(r.get("category")),
        "content_type": said(*(a.get("contentType") for a in attachments)),
    }


def device(r, u):
    yield {"patient": key(r.get("patient"), "Patient", u)} | coded(r.get("type"), SNOMED) | {
        "date": r.get("manufactureDate"), "expiration_date": r.get("expirationDate"), "status": r.get("status"), "manufacturer": r.get("manufacturer"),
    }


VIEWS = [patient, condition, observation, encounter, medication_request, procedure, immunization, allergy_intolerance, diagnostic_report, document_reference, device]


def counted(folder):
    views = {"".join(p.capitalize() for p in v.__name__.split("_")): v for v in VIEWS}
    found = {v.__name__: {"resources": 0, "rows": 0, "columns": {}} for v in VIEWS}
    for resource, urns in resources(folder):
        view = views.get(resource["resourceType"])
        if view is None:
            continue
        counts = found[view.__name__]
        counts["resources"] += 1
        for row in view(resource, urns):
            counts["rows"] += 1
            for name, cell in row.items():
                column = counts["columns"].setdefault(name, [0, 0])
                if cell is not None:
                    column[0] += 1
                    column[1] += zlib.crc32(cell.encode())
    return found


print(json.dumps({folder: counted(folder) for folder in sys.argv[1:]}, indent=1))
