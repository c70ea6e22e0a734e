# A table of laboratory values as the file of a snapshot, by Polars alone: read, sorted by patient, patients numbered, written as one Arrow file.
import os, sys, time
import polars as pl

kind, path, out, codes = sys.argv[1:5]
if kind == "make":
    pl.scan_csv(path).sink_parquet(out)
    print(0, 0, 0, 0)
    sys.exit()
diagnosis = pl.Enum(codes.split(","))
types = {"patient": pl.String, "diagnosis": diagnosis, "age": pl.Int64, "lab1": pl.Float64, "lab2": pl.Float64}
begun, before = time.perf_counter(), time.process_time()
rows = pl.scan_csv(path, schema=types) if kind == "csv" else pl.scan_parquet(path)
rows = (
    rows.sort("patient", maintain_order=True)
    .with_columns(pl.col("patient").rle_id().alias("subject"), pl.col("diagnosis").cast(diagnosis).to_physical().cast(pl.UInt16))
    .select("subject", "diagnosis", "age", "lab1", "lab2")
)
if len(sys.argv) > 5 and sys.argv[5] == "memory":
    rows.collect(engine="in-memory").write_ipc(out, compression="uncompressed")
else:
    rows.sink_ipc(out, compression="uncompressed", engine="streaming")
with open(out, "rb") as file:
    os.fsync(file.fileno())
wall, cpu = time.perf_counter() - begun, time.process_time() - before
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")][0]
print(wall, cpu, peak, os.path.getsize(out))
