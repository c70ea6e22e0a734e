"""Answers to the Cox models of tests/tests/models/cox.rs, on the union of the sites.

    pip install pandas statsmodels lifelines
    python3 tests/reference/cox.py tests/data/pda ../shared/data/survival > tests/reference/cox.json

Estimates, standard errors and log-likelihoods are statsmodels' (PHReg), at an optimum that Newton's method has polished with its own score and
hessian. The test of proportionality takes score and hessian of PHReg on follow-up that is split at every event, where the covariates times the clock
are covariates as well. Patients' scores are statsmodels' with Breslow's ties; with Efron's, those of Therneau and Grambsch (2000, §4.6, as R's
survival), summed here event by event over everybody at risk, and held against the six patients of that book's appendix E. Where no two times are
alike robust errors are lifelines' own; along ties lifelines takes one row after the other, so that its errors change with the order of the rows. Along a grid, times are rounded to the ends of their intervals before anything else; the baseline is Breslow's, held
against lifelines'. Concordance counts every pair. Estimates are held against lifelines' once more.
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from statsmodels.duration.hazard_regression import PHReg


def model(frame, columns, ties, strata=None, start=None):
    # Who comes at a time is not at risk at it, as in R; with statsmodels they are. All times are whole numbers.
    assert start is None or (np.all(frame.time % 1 == 0) and np.all(frame[start] % 1 == 0))
    return PHReg(
        frame.time.to_numpy(float),
        frame[columns].to_numpy(float),
        status=frame.event.to_numpy(int),
        entry=None if start is None else frame[start].to_numpy(float) + 0.25,
        strata=None if strata is None else frame[strata].to_numpy(),
        ties=ties,
    )


def polished(of, beta):
    for _ in range(20):
        beta = beta - np.linalg.solve(of.hessian(beta), of.score(beta))
    return beta


def groups(frame, strata):
    return [frame] if strata is None else [part for _, part in frame.groupby(strata)]


def scores(frame, columns, beta, ties, strata, start):
    """Each patient's part of the score, summed event by event."""
    rows = []
    for part in groups(frame, strata):
        x, time, event = part[columns].to_numpy(float), part.time.to_numpy(float), part.event.to_numpy(bool)
        begin = np.full(len(part), -np.inf) if start is None else part[start].to_numpy(float)
        weight, own = np.exp(x @ beta), np.zeros_like(x)
        for t in np.unique(time[event]):
            risk, dead = (begin < t) & (time >= t), event & (time == t)
            for l in range(dead.sum()):
                share = l / dead.sum() if ties == "efron" else 0.0
                held = weight * risk * (1 - share * dead)
                mean = held @ x / held.sum()
                own[dead] += (x[dead] - mean) / dead.sum()
                own -= (held / held.sum())[:, None] * (x - mean)
        rows.append(own)
    return np.vstack(rows)


def book():
    """Data set 1 of Therneau and Grambsch (2000), appendix E, with Efron's ties: scores in closed form, and the estimate."""
    frame = pd.DataFrame({"time": [1, 1, 6, 6, 8, 9], "event": [True, False, True, True, False, True], "x": [1, 1, 1, 0, 0, 0]})
    assert abs(polished(model(frame, ["x"], "efron"), np.zeros(1))[0] - 1.676857) < 5e-7
    for r in [1.0, 2.0, np.exp(1.676857)]:
        a, b, c = r + 1, r + 3, r + 5
        last = 2 * r * (177 + r * (282 + r * (182 + r * (50 + 5 * r)))) / (3 * (a * b * c) ** 2)
        third = (675 + r * (1305 + r * (756 + r * (-4 + r * (-79 - 13 * r))))) / (3 * (a * b * c) ** 2)
        fourth = r * (1 / (3 * a**2) - a / (2 * b**2) - b / (2 * c**2))
        wanted = [(2 * r + 3) / (3 * a**2), -r / (3 * a**2), third, fourth, last, last]
        own = scores(frame, ["x"], np.array([np.log(r)]), "efron", None, None)
        assert np.allclose(own.ravel(), wanted, rtol=1e-12), "the book has other scores"


def of_lifelines(frame, columns, strata=None):
    """Robust errors as lifelines has them."""
    names = columns + ["time", "event"] + ([strata] if strata else [])
    fitted = CoxPHFitter().fit(
        frame[names], "time", "event", strata=[strata] if strata else None, robust=True, fit_options={"precision": 1e-12}
    )
    return fitted.standard_errors_[columns].to_numpy()


def apart(frame, columns, strata=None):
    """The same patients, no two of whom leave at one time: with lifelines' robust errors."""
    tied = [of_lifelines(rows, columns, strata) for rows in [frame, frame.iloc[::-1]]]
    assert np.abs(tied[0] / tied[1] - 1).max() > 1e-5, "lifelines has come to know ties: hold the others against it as well"
    frame = frame.assign(time=frame.time + np.arange(len(frame)) / 1000)
    answer, theirs = told(frame, columns, strata=strata), of_lifelines(frame, columns, strata)
    assert np.allclose(list(answer["robust"].values()), theirs, rtol=1e-9), "lifelines' robust errors are others"
    return {**answer, "robust": dict(zip(columns, theirs))}


def concordance(frame, columns, beta, strata, start):
    counts = np.zeros(3, int)
    for part in groups(frame, strata):
        time, event = part.time.to_numpy(float), part.event.to_numpy(bool)
        begin = np.full(len(part), -np.inf) if start is None else part[start].to_numpy(float)
        eta = np.zeros(len(part))
        for name, b in zip(columns, beta):
            eta += part[name].to_numpy(float) * b
        for i in np.flatnonzero(event):
            goes_on = (begin < time[i]) & ((time > time[i]) | ((time == time[i]) & ~event))
            others = eta[goes_on]
            counts += [(others < eta[i]).sum(), (others > eta[i]).sum(), (others == eta[i]).sum()]
    return counts


def proportionality(frame, columns, beta, ties, strata, start, clock):
    """Score tests of covariates times the clock, each alone and all."""
    names, pieces = columns + ["time", "event"] + ([strata] if strata else []), []
    for part in groups(frame, strata):
        events = np.unique(part.time[part.event])
        for row in part[names + ([start] if start else [])].to_dict("records"):
            begin = row.get(start, 0.0)
            cuts = events[(events > begin) & (events < row["time"])]
            for a, b in zip(np.append(begin, cuts), np.append(cuts, row["time"])):
                last = b == row["time"]
                pieces.append({**row, "begin": a, "time": b, "event": bool(row["event"] and last)})
    split = pd.DataFrame(pieces)
    for name in columns:
        split[f"{name}:t"] = split[name] * clock(split.time)
    p, answer = len(columns), {}
    for tested in [[i] for i in range(p)] + [list(range(p))]:
        names = columns + [f"{columns[i]}:t" for i in tested]
        of = model(split, names, ties, strata, "begin")
        at = np.append(beta, np.zeros(len(tested)))
        u, information = of.score(at), -of.hessian(at)
        name = columns[tested[0]] if len(tested) == 1 else "all"
        answer[name] = float(u @ np.linalg.solve(information, u))
    return answer


def told(frame, columns, ties="efron", strata=None, start=None, clock=None, patient=None):
    frame = frame.copy()
    frame["event"] = frame.event.astype(bool)
    of = model(frame, columns, ties, strata, start)
    beta = polished(of, of.fit().params)
    zero = np.zeros(len(columns))
    covariance = np.linalg.inv(-of.hessian(beta))
    own = scores(frame, columns, beta, ties, strata, start)
    assert np.allclose(own.sum(axis=0), of.score(beta), atol=1e-7), "patients' scores do not add up"
    if patient is not None:
        assert strata is None
        own = pd.DataFrame(own).groupby(frame[patient].to_numpy()).sum().to_numpy()
    if ties == "breslow" and start is None:
        theirs = of.score_residuals(beta)
        assert np.allclose(np.sort(theirs, axis=0), np.sort(own, axis=0), atol=1e-8), "statsmodels' scores are others"
    if ties == "efron":
        held = CoxPHFitter().fit(
            frame[columns + ["time", "event"] + [s for s in [strata, start] if s]],
            "time", "event", strata=[strata] if strata else None, entry_col=start, fit_options={"precision": 1e-12},
        )
        assert np.allclose(held.params_[columns], beta, rtol=1e-4, atol=1e-6), "lifelines' estimates are others"
    counts = concordance(frame, columns, beta, strata, start)
    u, information = of.score(zero), -of.hessian(zero)
    answer = {
        "n": len(frame) if patient is None else frame[patient].nunique(),
        "events": int(frame.event.sum()),
        "estimates": dict(zip(columns, beta)),
        "errors": dict(zip(columns, np.sqrt(np.diag(covariance)))),
        "robust": dict(zip(columns, np.sqrt(np.diag(covariance @ own.T @ own @ covariance)))),
        "log_likelihood": float(of.loglike(beta)),
        "log_likelihood_at_0": float(of.loglike(zero)),
        "score_test": float(u @ np.linalg.solve(information, u)),
        "wald": float(beta @ np.linalg.solve(covariance, beta)),
        "concordance": float((counts[0] + counts[2] / 2) / counts.sum()),
        "pairs": int(counts.sum()),
    }
    if clock is not None:
        answer["proportionality"] = proportionality(frame, columns, beta, ties, strata, start, clock)
    return answer


def rounded(frame, ends):
    """Times along a grid: who is still there at its end is there without the event."""
    frame, ends = frame.copy(), np.asarray(ends, float)
    beyond = frame.time >= ends[-1]
    place = np.minimum(np.searchsorted(ends, frame.time, side="right"), len(ends) - 1)
    frame["event"] = frame.event.astype(bool) & ~beyond
    frame["time"] = ends[place]
    return frame


def coming(frame, ends, until):
    """The same of those who come late: from the begin of the interval in which they come, and not from `until` on."""
    frame = frame[(frame.late < frame.time) & (frame.late < until)]
    begins = np.append(0.0, np.asarray(ends, float))
    place = np.searchsorted(np.asarray(ends, float), frame.late, side="right")
    return rounded(frame.assign(late=begins[place]), ends)


def along(frame, columns, ends, patterns, ties="efron", strata=None, clock=lambda t: t):
    """The fit on rounded times, its baseline in each stratum, and how long patients with these columns go without the event."""
    frame = rounded(frame, ends)
    answer = told(frame, columns, ties=ties, strata=strata, clock=clock)
    of = model(frame, columns, ties, strata)
    beta = np.array(list(answer["estimates"].values()))
    inverse = np.linalg.inv(-of.hessian(beta))
    answer["baseline"], answer["survival"] = [], [[] for _ in patterns]
    for part in groups(frame, strata):
        baseline, survival = of_stratum(part, columns, ends, patterns, beta, inverse, ties if strata is None else None)
        answer["baseline"] += baseline
        for all, own in zip(answer["survival"], survival):
            all += own
    return answer


def of_stratum(frame, columns, ends, patterns, beta, inverse, ties):
    x, w = frame[columns].to_numpy(float), np.exp(frame[columns].to_numpy(float) @ beta)
    baseline, own, steps = [], [], []
    for t in ends:
        risk, d = frame.time >= t, int((frame.event & (frame.time == t)).sum())
        s0 = w[risk].sum()
        steps.append((d / s0 if d else 0.0, (w[risk] @ x[risk]) / s0 if d else np.zeros(len(columns))))
        own.append(d / s0**2 if d else 0.0)
        baseline.append(sum(step for step, _ in steps))
    if ties == "efron":
        fitted = CoxPHFitter().fit(frame[columns + ["time", "event"]], "time", "event", fit_options={"precision": 1e-12})
        theirs = fitted.baseline_cumulative_hazard_.iloc[:, 0]
        scale = np.exp(-fitted.params_[columns].to_numpy() @ x.mean(axis=0))
        held = [theirs[theirs.index <= t].iloc[-1] * scale for t in ends]
        assert np.allclose(held, baseline, rtol=1e-3, atol=1e-6), "lifelines' baseline is another"
    survival = []
    for at in patterns:
        at = np.array(at, float)
        ratio, rows = np.exp(at @ beta), []
        for i, hazard in enumerate(baseline):
            drift = sum(step * (mean - at) for step, mean in steps[: i + 1])
            error = ratio * np.sqrt(sum(own[: i + 1]) + drift @ inverse @ drift)
            hazard = ratio * hazard
            factor = np.exp(1.959963984540054 * error / hazard)
            rows.append([np.exp(-hazard), np.exp(-hazard * factor), np.exp(-hazard / factor)])
        survival.append(rows)
    return baseline, survival


def cut(frame):
    """Two of three patients in two rows: something begins at a day of their own."""
    rows = []
    for i, row in enumerate(frame.to_dict("records")):
        day = 30 + 37 * i % 300
        if i % 3 == 0 or day >= row["time"]:
            rows.append({**row, "patient": i, "begin": 0, "on": 0})
        else:
            rows.append({**row, "patient": i, "begin": 0, "on": 0, "time": day, "event": 0})
            rows.append({**row, "patient": i, "begin": day, "on": 1})
    return pd.DataFrame(rows)


def main(pda, survival):
    lung = pd.read_csv(pathlib.Path(pda) / "lung2.csv").rename(columns={"status": "event"})
    lung["late"] = np.floor(lung.time / 4)
    two, log = ["age", "sex"], np.log
    answers = {
        "lung2": told(lung, two, clock=log),
        "lung2, breslow": told(lung, two, ties="breslow", clock=lambda t: t),
        "lung2, sites": told(lung, two, strata="site", clock=lambda t: t),
        "lung2, sites, breslow": told(lung, two, ties="breslow", strata="site"),
        "lung2, late": told(lung, two, start="late", clock=log),
        "lung2, by sex": told(lung, ["age"], strata="sex"),
        "lung2, apart": apart(lung, two),
        "lung2, apart, sites": apart(lung, two, strata="site"),
    }
    book()
    months, patterns = np.arange(50, 1001, 50), [[60, 0], [72, 1]]
    answers["lung2, grid"] = along(lung, two, months, patterns)
    answers["lung2, grid, breslow"] = along(lung, two, months, patterns, ties="breslow", clock=log)
    answers["lung2, grid, by sex"] = along(lung, ["age"], months, [[60], [72]], strata="sex")
    for ties in ["efron", "breslow"]:
        answers[f"lung2, grid, late, {ties}"] = told(coming(lung, months, 1000), two, ties=ties, start="late", clock=lambda t: t)
    answers["lung2, grid, late until 150"] = told(coming(lung, months, 150), two, start="late", strata=None)
    rows = cut(lung)
    answers["lung2, rows"] = told(rows, ["age", "sex", "on"], start="begin", clock=log, patient="patient")
    answers["lung2, rows, breslow"] = told(rows, ["age", "sex", "on"], ties="breslow", start="begin", patient="patient")
    folder = pathlib.Path(survival)
    if folder.exists():
        frame = pd.read_csv(folder / "lung.csv").rename(columns={"ph.ecog": "ph_ecog"})
        frame["event"] = frame.status == 2
        three = frame.dropna(subset=["age", "sex", "ph_ecog"])
        answers["lung"] = told(three, ["age", "sex", "ph_ecog"], clock=lambda t: t)
        answers["lung, inst"] = told(three.dropna(subset=["inst"]), ["age", "sex", "ph_ecog"], strata="inst")
        frame = pd.read_csv(folder / "veteran.csv").rename(columns={"status": "event"})
        for kind in ["smallcell", "adeno", "large"]:
            frame[kind] = (frame.celltype == kind).astype(float)
        columns = ["trt", "smallcell", "adeno", "large", "karno", "diagtime", "age", "prior"]
        answers["veteran"] = told(frame, columns, clock=log)
        frame = pd.read_csv(folder / "gbsg.csv").rename(columns={"rfstime": "time", "status": "event"})
        answers["gbsg"] = told(frame, ["age", "meno", "size", "grade", "nodes", "pgr", "er", "hormon"])
    json.dump(answers, sys.stdout, indent=1)
    print()


main(*sys.argv[1:])
