#!/usr/bin/env python3
"""Cuts a public data set into the files of several hospitals, and counts independently what each of them should hold.

    python3 sites.py sivic       DATA/covid_fr_sivic  net/sites > counts.json
    python3 sites.py diabetes130 DATA/diabetes130     net/sites > counts.json

Needs nothing beyond Python's own library. Standard output is JSON; with `-` for the folder of the sites nothing is written.
"""

import collections
import csv
import datetime
import gzip
import io
import json
import pathlib
import sys
import zipfile


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
    files = {site: "\n".join([header, *lines]) + "\n" for site, lines in areas.items()}
    rows = {site: {"rows": len(lines), "subjects": len(lines)} for site, lines in areas.items()}
    return "admissions.csv", files, {"sites": rows, "weeks": weeks}


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
    readmitted = collections.Counter()
    for row in csv.DictReader(io.StringIO(text)):
        readmitted[row["gender"] + " " + row["readmitted"]] += 1
    files = {site: "\n".join([header, *lines]) + "\n" for site, lines in payers.items()}
    rows = {
        site: {"rows": len(lines), "subjects": len({line.split(",")[patient] for line in lines})}
        for site, lines in payers.items()
    }
    return "encounters.csv", files, {"sites": rows, "readmitted": readmitted}


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in ("sivic", "diabetes130"):
        sys.exit(__doc__)
    name, files, counts = globals()[sys.argv[1]](pathlib.Path(sys.argv[2]))
    if sys.argv[3] != "-":
        for site, text in files.items():
            data = pathlib.Path(sys.argv[3]) / site / "data"
            data.mkdir(parents=True, exist_ok=True)
            (data / name).write_text(text, encoding="utf-8", newline="")
    json.dump(counts, sys.stdout, indent=1, sort_keys=True)
    print()


main()
