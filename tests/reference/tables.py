#!/usr/bin/env python3
"""What the tables of the published sets hold, read whole and by other means: no site, no split, no contract.

    python3 tests/reference/tables.py tests/data ../shared/data > tests/reference/tables.json

For each set and table: rows, patients, and, of files with columns, how many cells of each are filled. Of diabetes130 the rows and patients of each gender and
readmission besides. Sets that are not there are left out. Neither deploy/examples/sites.py nor a contract is looked at.
"""
import csv, gzip, io, json, pathlib, re, sys, zipfile


def table(text, patient, delimiter=",", empty=("",)):
    """Counts a CSV file. `date(x,'unixepoch')`, as SQLite writes headers, is `x`."""
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    names = [re.sub(r"^date\((\w+),.*\)$", r"\1", name.lower()) for name in next(rows)]
    filled, patients, count = dict.fromkeys(names, 0), set(), 0
    for row in rows:
        count += 1
        if patient:
            patients.add(tuple(row[names.index(name)] for name in patient))
        for name, cell in zip(names, row):
            filled[name] += cell not in empty
    return {"rows": count, "patients": len(patients) if patient else count, "filled": filled}


def read(file):
    return gzip.decompress(file.read_bytes()).decode() if file.suffix == ".gz" else file.read_text(encoding="utf-8")


def folder(of, patient, **more):
    """Every CSV file of a folder that has such a column."""
    found = {}
    for file in sorted(of.glob("*.csv*")):
        text = read(file)
        if patient in text.split("\n", 1)[0].lower().strip().split(","):
            found[file.name.split(".")[0].lower()] = table(text, [patient], **more)
    return found


def archive(of, patient):
    found = {}
    with zipfile.ZipFile(of) as files:
        for name in files.namelist():
            if name.endswith(".csv") and "__MACOSX" not in name:
                text = files.read(name).decode("utf-8-sig").replace("\r\n", "\n")
                if patient in text.split("\n", 1)[0].lower().split(","):
                    found[pathlib.Path(name).stem.lower()] = table(text, [patient])
    return found


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def fhir(sites):
    """Of each kind of resource. An observation's components are rows of their own, beside itself where it has a value."""
    found = {}
    for file in sorted(file for site in sites for file in site.glob("*.ndjson.gz")):
        for line in filter(str.strip, read(file).splitlines()):
            resource = json.loads(line)
            kind = found.setdefault(snake(resource["resourceType"]), {"rows": 0, "patients": set()})
            components = len(resource.get("component", []))
            itself = any(key.startswith("value") for key in resource) or not components
            kind["rows"] += components + itself if resource["resourceType"] == "Observation" else 1
            subject = resource.get("subject", resource.get("patient"))
            kind["patients"].add(subject["reference"].rsplit("/", 1)[-1] if subject else resource["id"])
    return {kind: {"rows": of["rows"], "patients": len(of["patients"])} for kind, of in sorted(found.items())}


def diabetes130(of):
    with zipfile.ZipFile(of) as files:
        text = files.read("dataset_diabetes/diabetic_data.csv").decode()
    cells = {}
    for row in csv.DictReader(io.StringIO(text)):
        cell = cells.setdefault(f"{row['gender']} {row['readmitted']}", [0, set()])
        cell[0] += 1
        cell[1].add((row["payer_code"], row["patient_nbr"]))
    readmitted = {key: {"rows": rows, "patients": len(patients)} for key, (rows, patients) in sorted(cells.items())}
    # A patient of two payers is one of each: sites do not know each other's.
    return {"encounters": table(text, ["payer_code", "patient_nbr"], empty=("", "?")), "readmitted": readmitted}


def sets(own, shared):
    yield "fhir", own / "fhir", lambda of: fhir(sorted(of.glob("site_*")))
    yield "gibleed", own / "gibleed", lambda of: folder(of, "person_id")
    yield "synthea", own / "omop", lambda of: folder(of, "person_id")
    yield "sivic", own / "sivic", lambda of: {"admissions": table(read(next(of.glob("*incid-2*.csv.gz"))), None, ";")}
    yield "diabetes130", shared / "diabetes130/dataset_diabetes.zip", diabetes130
    yield "gibleed, whole", shared / "omop_gibleed_5.3", lambda of: folder(of, "person_id")
    yield "synthea, whole", shared / "omop_synthea27nj/Synthea27Nj_5.4.zip", lambda of: archive(of, "person_id")


own, shared = map(pathlib.Path, sys.argv[1:])
print(json.dumps({name: count(of) for name, of, count in sets(own, shared) if of.exists()}, indent=1))
