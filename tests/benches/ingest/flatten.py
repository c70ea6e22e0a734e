# An export of observations as the rows of the view fhir-r4-core/observation, by DuckDB.
import os, sys, time
import duckdb

path, threads = sys.argv[1:3]
c = duckdb.connect()
c.execute("set enable_progress_bar = false")
c.execute("set threads = " + threads)
code = "struct(coding struct(system varchar, code varchar)[])"
value = {
    "valueQuantity": "struct(value varchar, comparator varchar, unit varchar, code varchar)",
    "valueInteger": "varchar",
    "valueCodeableConcept": "struct(coding struct(code varchar)[])",
    "valueBoolean": "boolean",
}
others = ["String", "Range", "Ratio", "SampledData", "Time", "DateTime", "Period"]
value |= {"value" + kind: "json" for kind in others}
columns = {
    "id": "varchar", "status": "varchar", "category": "struct(coding struct(code varchar)[])[]", "code": code,
    "subject": "struct(reference varchar)", "encounter": "struct(reference varchar)",
    "effectiveDateTime": "varchar", "effectiveInstant": "varchar", "effectivePeriod": "struct(start varchar)", "issued": "varchar",
    "component": "struct(code " + code + ", " + ", ".join(f'"{k}" {v}' for k, v in value.items()) + ")[]",
} | value


def part(number, of):
    main = f"list_filter({of}code.coding, lambda x: x.system = 'http://loinc.org')"
    other = f"list_filter({of}code.coding, lambda x: x.system is null or x.system <> 'http://loinc.org')"
    return f"""{{part: {number}, code: {main}[1].code, other_code: {other}[1].code, other_system: {other}[1].system,
        value: case when {of}"valueQuantity".comparator is null then coalesce({of}"valueQuantity".value, {of}"valueInteger") end,
        comparator: {of}"valueQuantity".comparator, bound: case when {of}"valueQuantity".comparator is not null then {of}"valueQuantity".value end, unit: coalesce({of}"valueQuantity".code, {of}"valueQuantity".unit),
        value_code: {of}"valueCodeableConcept".coding[1].code, value_bool: {of}"valueBoolean",
        value_other: {" or ".join(f'{of}"value{kind}" is not null' for kind in others)}}}"""


names = ", ".join(f"{k}: '{v}'" for k, v in columns.items())
query = f"""create temp table flat as
    with o as (select * from read_json('{path}', format = 'newline_delimited', columns = {{{names}}})),
    p as (select split_part(subject.reference, '/', -1) patient, split_part(encounter.reference, '/', -1) encounter,
        coalesce("effectiveDateTime", "effectiveInstant", "effectivePeriod".start, issued) date,
        case when length(date) > 10 then date end instant, status, category[1].coding[1].code category,
        unnest(list_concat(
            case when component is null or coalesce("valueQuantity".value, "valueInteger", "valueBoolean"::varchar, "valueCodeableConcept"::varchar,
                {", ".join(f'"value{kind}"' for kind in others)}) is not null then [{part(0, "")}] else [] end,
            list_transform(coalesce(component, []), lambda y: {part(1, "y.")}))) q
        from o)
    select p.* exclude (q), q.part, q.code, q.other_code, q.other_system, q.value::double as number, q.comparator, q.bound::double as bound, q.unit,
        q.value_code, q.value_bool, q.value_other from p"""
begun, before = time.perf_counter(), time.process_time()
c.execute(query)
wall, cpu = time.perf_counter() - begun, time.process_time() - before
rows = c.execute("select count(*) from flat").fetchone()[0]
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")][0]
print(wall, cpu, peak, rows)
