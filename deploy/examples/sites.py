#!/usr/bin/env python3
"""Cuts a public data set into the files of several hospitals, and counts independently what each of them should hold.

    python3 sites.py sivic       DATA/covid_fr_sivic  net/sites > counts.json
    python3 sites.py diabetes130 DATA/diabetes130     net/sites > counts.json
    python3 sites.py fhir        DATA/fhir            net/sites > counts.json
    python3 sites.py gibleed     DATA/omop_gibleed_5.3 net/sites > counts.json
    python3 sites.py synthea     DATA/omop            net/sites > counts.json

Needs nothing beyond Python's own library. Standard output is JSON; with `-` for the folder of the sites nothing is written.
"""

import collections
import csv
import datetime
import fractions
import gzip
import hashlib
import io
import json
import pathlib
import sys
import zipfile


def table(header, lines):
    return ("\n".join([header, *lines]) + "\n").encode()


def dealt(person, sites):
    """The site of a person: by a hash, so that neither the order nor the form of the numbers shows."""
    return f"site-{hashlib.sha256(person.encode()).digest()[1] % sites + 1}"


def cut(name, header, rows, sites):
    """A table's file and counts at each of so many sites, by its `person_id`."""
    person = [column.lower() for column in header].index("person_id")
    files, counts = {}, {}
    for site in (f"site-{number + 1}" for number in range(sites)):
        mine = [row for row in rows if dealt(row[person], sites) == site]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([header, *mine])
        files[site] = {f"{name}.csv": text.getvalue().encode()}
        counts[site] = {"rows": len(mine), "subjects": len({row[person] for row in mine})}
    return files, counts


def sivic(folder):
    """France, daily admissions by département: the 102 départements in ten areas, dealt out in their order."""
    path = folder / "covid-hospit-incid-2023-03-31-18h01.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *lines = file.read().splitlines()
    departements = {name: i for i, name in enumerate(sorted({line.split(";")[0] for line in lines}))}
    areas = collections.defaultdict(list)
    for line in lines:
        areas[f"area-{departements[line.split(';')[0]] % 10 + 1}"].append(line)
    weeks = collections.defaultdict(lambda: {"rows": 0, "admitted": 0, "died": 0})
    for row in csv.DictReader([header, *lines], delimiter=";"):
        year, week, _ = datetime.date.fromisoformat(row["jour"]).isocalendar()
        cell = weeks[f"{year}-W{week:02}"]
        cell["rows"] += 1
        cell["admitted"] += int(row["incid_hosp"])
        cell["died"] += int(row["incid_dc"])
    files = {site: {"admissions.csv": table(header, lines)} for site, lines in areas.items()}
    rows = {site: {"rows": len(lines), "subjects": len(lines)} for site, lines in areas.items()}
    return files, {"tables": {"admissions": rows}, "weeks": weeks}


def diabetes130(folder):
    """130 US hospitals, ten years of encounters with diabetes: one site for each payer."""
    with zipfile.ZipFile(folder / "dataset_diabetes.zip") as archive:
        text = archive.read("dataset_diabetes/diabetic_data.csv").decode()
    header, *lines = text.splitlines()
    names = header.split(",")
    payer, patient = names.index("payer_code"), names.index("patient_nbr")
    payers = collections.defaultdict(list)
    for line in lines:
        fields = line.split(",")
        assert len(fields) == len(names)
        code = fields[payer].lower()
        payers["payer-" + ("unknown" if code == "?" else code)].append(line)
    files = {site: {"encounters.csv": table(header, lines)} for site, lines in payers.items()}
    rows = {
        site: {"rows": len(lines), "subjects": len({line.split(",")[patient] for line in lines})}
        for site, lines in payers.items()
    }
    return files, {"tables": {"encounters": rows}}


def fhir(folder):
    """Four exports of FHIR R4, as they are; adults, counted from the resources."""
    wanted = ["Patient", "Condition", "Observation", "MedicationRequest"]
    hypertension = {"38341003", "59621000"}
    treatment = {"316049", "866414", "897718", "315971", "1719286"}
    files, tables = {}, collections.defaultdict(dict)
    by_site, measured, pooled = {}, [], []
    for site in sorted(folder.glob("site_*")):
        name = site.name.replace("_", "-")
        files[name] = {f"{kind}.ndjson.gz": (site / f"{kind}.ndjson.gz").read_bytes() for kind in wanted}
        read = lambda kind: [json.loads(line) for line in gzip.decompress(files[name][f"{kind}.ndjson.gz"]).splitlines() if line]
        of = lambda resource: resource["subject"]["reference"].split("/")[-1]
        codes = lambda concept: {coding["code"] for coding in concept.get("coding", [])}
        patients = {resource["id"]: resource for resource in read("Patient")}
        holds = lambda resource: not codes(resource.get("verificationStatus", {})) & {"refuted", "entered-in-error"}
        hypertensive = {of(resource) for resource in read("Condition") if codes(resource["code"]) & hypertension and holds(resource)}
        treated = {of(resource) for resource in read("MedicationRequest") if codes(resource.get("medicationCodeableConcept", {})) & treatment}
        pressure = {}
        for resource in read("Observation"):
            for component in resource.get("component", []):
                if "8480-6" in codes(component["code"]):
                    quantity = component["valueQuantity"]
                    holds = resource["status"] in ("final", "amended", "corrected") and "comparator" not in quantity
                    if not holds or quantity.get("code", quantity.get("unit")) != "mm[Hg]":
                        continue
                    # The last one of the last day; of several at one moment the smallest.
                    when = resource["effectiveDateTime"]
                    moment = datetime.datetime.fromisoformat(when).timestamp() if "T" in when else float("-inf")
                    seen = (when[:10], moment, -quantity["value"])
                    pressure[of(resource)] = max(seen, pressure.get(of(resource), seen))
        adults = [id for id, resource in patients.items() if resource["birthDate"] <= "2000-01-01"]
        pressures = [-pressure[id][2] for id in adults if id in pressure]
        measured += pressures
        by_site[name] = {
            "patients": len(adults),
            "by gender": collections.Counter(patients[id]["gender"] for id in adults),
            "measured": len(pressures),
            "at least 130": sum(value >= 130 for value in pressures),
            "sum(systolic)": sum(pressures),
            "treated": sum(id in treated for id in adults),
            "hypertensive": sum(id in hypertensive for id in adults),
        }
        tables["patient"][name] = {"rows": len(patients), "subjects": len(patients)}
        for table, kind in [("condition", "Condition"), ("medication_request", "MedicationRequest"), ("observation", "Observation")]:
            # A component is a row, and so is what has a value of its own, or nothing else.
            rows = lambda resource: len(resource.get("component", [])) + (any(key.startswith("value") for key in resource) or "component" not in resource)
            rows = [(of(resource), rows(resource) if kind == "Observation" else 1) for resource in read(kind)]
            tables[table][name] = {"rows": sum(count for _, count in rows), "subjects": len({patient for patient, _ in rows})}
        age = lambda birth: 2018 - int(birth[:4]) - (birth[5:] > "01-01")
        # A hospital of fewer has too few men of too few ages for it.
        for id in filter(pressure.get, adults if min(by_site[name]["by gender"].values()) >= 15 else []):
            pooled.append((-pressure[id][2], 1, age(patients[id]["birthDate"]), int(patients[id]["gender"] == "female")))
    ordered = sorted(measured)
    middle = [ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]]
    return files, {"tables": tables, "by_site": by_site, "median": middle, "pressure by 1, age, female": least_squares(pooled)}


def least_squares(rows):
    """The coefficients of the first number on the others, in exact fractions: XᵀX b = Xᵀy by elimination."""
    rows = [[fractions.Fraction(value) for value in row] for row in rows]
    size = len(rows[0]) - 1
    system = [[sum(row[i] * row[j] for row in rows) for j in [*range(1, size + 1), 0]] for i in range(1, size + 1)]
    for i in range(size):
        for j in range(size):
            if i != j:
                share = system[j][i] / system[i][i]
                system[j] = [a - share * b for a, b in zip(system[j], system[i])]
    return [float(system[i][size] / system[i][i]) for i in range(size)]


def gibleed(folder):
    """OMOP CDM 5.3 of 2,694 persons at four sites; who bleeds within a year."""
    tables, counts = {}, {}
    for table in ("person", "condition_occurrence", "drug_exposure"):
        with gzip.open(folder / f"{table}.csv.gz", "rt", encoding="utf-8", newline="") as file:
            tables[table] = list(csv.reader(file))
    columns = {table: [name.lower() for name in rows[0]] for table, rows in tables.items()}
    files = collections.defaultdict(dict)
    for table, (header, *rows) in tables.items():
        parts, counts[table] = cut(table, header, rows, 4)
        for site, part in parts.items():
            files[site] |= part
    column = lambda table, name: [row[columns[table].index(name)] for row in tables[table][1:]]
    born = dict(zip(column("person", "person_id"), zip(*(column("person", f"{part}_of_birth") for part in ("year", "month", "day")))))
    exposures, bleedings = collections.defaultdict(list), collections.defaultdict(list)
    drugs = zip(*(column("drug_exposure", name) for name in ("person_id", "drug_concept_id", "drug_exposure_start_date")))
    for person, drug, day in drugs:
        if drug in ("1118084", "1124300"):
            exposures[person].append((datetime.date.fromisoformat(day), drug))
    conditions = zip(*(column("condition_occurrence", name) for name in ("person_id", "condition_concept_id", "condition_start_date")))
    for person, condition, day in conditions:
        if condition == "192671":
            bleedings[person].append(datetime.date.fromisoformat(day))
    outcome = {"true": [0, 0], "false": [0, 0]}
    for person, taken in exposures.items():
        index = min(day for day, _ in taken)
        year, month, day = map(int, born[person])
        age = index.year - year - ((index.month, index.day) < (month, day))
        if age < 18 or any(day <= index for day in bleedings[person]):
            continue
        celecoxib = any(day == index and drug == "1118084" for day, drug in taken)
        bleeds = any(index < day <= index + datetime.timedelta(365) for day in bleedings[person])
        cell = outcome[str(celecoxib).lower()]
        cell[0] += 1
        cell[1] += bleeds
    outcome = {key: {"count": n, "bleeds": bleeds} for key, (n, bleeds) in outcome.items()}
    return files, {"tables": counts, "outcome": outcome}


def synthea(folder):
    """OMOP CDM 5.4 of 28 persons at two sites; what was measured of their weight."""
    names = ["person", "observation_period", "visit_occurrence", "condition_occurrence", "drug_exposure", "measurement", "death"]
    files, tables = collections.defaultdict(dict), {}
    weight = {"rows": 0, "patients": set(), "sum": 0.0}
    for name in names:
        with open(folder / f"{name}.csv", encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        parts, tables[name] = cut(name, header, rows, 2)
        for site, part in parts.items():
            files[site] |= part
        if name == "measurement":
            person, concept, value = map(header.index, ("person_id", "measurement_concept_id", "value_as_number"))
            for row in rows:
                if row[concept] == "3025315":
                    weight["rows"] += 1
                    weight["patients"].add(row[person])
                    weight["sum"] += float(row[value])
    weight = {"rows": weight["rows"], "patients": len(weight["patients"]), "mean": weight["sum"] / weight["rows"]}
    return files, {"tables": tables, "weight": weight}


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("sivic", "diabetes130", "fhir", "gibleed", "synthea"):
        sys.exit(__doc__)
    files, counts = globals()[sys.argv[1]](pathlib.Path(sys.argv[2]))
    if sys.argv[3] != "-":
        for site, tables in files.items():
            data = pathlib.Path(sys.argv[3]) / site / "data"
            data.mkdir(parents=True, exist_ok=True)
            for name, content in tables.items():
                (data / name).write_bytes(content)
    json.dump(counts, sys.stdout, indent=1, sort_keys=True)
    print()


main()
