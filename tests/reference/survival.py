#!/usr/bin/env python3
"""Survival, tests, incidence and rates of pooled rows by other means: lifelines, statsmodels and scipy on times rounded to the grid.

    python3 tests/reference/survival.py tests/data/pda [../shared/data/survival] > tests/reference/survival.json

(lifelines 0.30.3, statsmodels 0.15.0.) A time is rounded down to the begin of its interval; whoever reaches the grid's end is censored there.
What no package gives for tied times is written out below: the variance of a restricted mean (Klein and Moeschberger 2003, 4.5.2) and
that of a cumulative incidence (Marubini and Valsecchi 1995, 10.3).
"""
import json, pathlib, sys, warnings

import numpy as np
import pandas as pd
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times, restricted_mean_survival_time
from scipy.stats import chi2, norm
from statsmodels.duration.survfunc import CumIncidenceRight, survdiff
from statsmodels.stats.proportion import proportion_confint
from scipy.stats import binomtest

warnings.filterwarnings("ignore")
Z = norm.ppf(0.975)


def finite(x):
    return float(x) if np.isfinite(x) else None


def told(value):
    """The same, with null for what is no number."""
    if isinstance(value, dict):
        return {key: told(of) for key, of in value.items()}
    if isinstance(value, list):
        return [told(of) for of in value]
    return finite(value) if isinstance(value, float) else value


def curve(time, event, edges):
    """Of one group, at the end of each interval."""
    begins, ends = edges[:-1], edges[1:]
    km = KaplanMeierFitter().fit(time, event)
    survival = km.survival_function_at_times(begins).to_numpy()
    band = km.confidence_interval_survival_function_
    band = band.reindex(band.index.union(begins)).ffill().loc[begins].to_numpy()
    table = km.event_table
    d = table.observed.reindex(begins, fill_value=0).to_numpy()
    n = np.array([(time >= begin).sum() for begin in begins])
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(np.where(d > 0, d / (n * (n - d)), 0))
        plain = survival * np.sqrt(greenwood)
    area = np.cumsum((np.diff(edges) * survival)[::-1])[::-1]
    step = np.where((d > 0) & (area > 0), area**2 * d / np.where(n > d, n * (n - d), 1), 0)
    ci = median_survival_times(km.confidence_interval_)
    return {
        "patients": len(time), "events": int(event.sum()),
        "survival": survival.tolist(), "lower": band[:, 0].tolist(), "upper": band[:, 1].tolist(),
        "plain_lower": np.clip(survival - Z * plain, 0, 1).tolist(), "plain_upper": np.clip(survival + Z * plain, 0, 1).tolist(),
        "at_risk": n.tolist(), "observed": d.astype(int).tolist(),
        "median": finite(km.median_survival_time_), "median_ci": [finite(x) for x in ci.to_numpy()[0]],
        "mean": float(restricted_mean_survival_time(km, t=edges[-1])), "mean_se": float(np.sqrt(step.sum())),
    }


def incidence(time, status, edges, kind):
    begins = edges[:-1]
    fit = CumIncidenceRight(np.asarray(time), np.asarray(status))
    cinc = pd.Series(fit.cinc[kind - 1], index=fit.times)
    cinc = cinc.reindex(cinc.index.union(begins)).ffill().fillna(0).loc[begins].to_numpy()
    n = np.array([(time >= b).sum() for b in begins], float)
    d = np.array([((time == b) & (status > 0)).sum() for b in begins], float)
    di = np.array([((time == b) & (status == kind)).sum() for b in begins], float)
    s = np.cumprod(np.concatenate([[1], np.where(n > 0, (n - d) / np.where(n > 0, n, 1), 1)]))[:-1]
    variance = []
    for upto in range(len(begins)):
        v = 0.0
        for j in range(upto + 1):
            if n[j] == 0:
                continue
            beyond = cinc[upto] - cinc[j]
            v += beyond**2 * d[j] / (n[j] * (n[j] - d[j])) if n[j] > d[j] else 0
            v += s[j] ** 2 * (n[j] - di[j]) * di[j] / n[j] ** 3 - 2 * beyond * s[j] * di[j] / n[j] ** 2
        variance.append(v)
    return {"incidence": cinc.tolist(), "se": np.sqrt(np.maximum(variance, 0)).tolist()}


def rounded(time, event, edges):
    begins = np.asarray(edges[:-1], float)
    end = edges[-1]
    reached = time >= end
    floor = begins[np.clip(np.searchsorted(begins, time, side="right") - 1, 0, None)]
    return np.where(reached, end, floor), np.where(reached, 0, event)


def survival(frame, time, event, edges, by=None, site=None):
    t, e = rounded(frame[time].to_numpy(float), frame[event].to_numpy(int), edges)
    out = {"edges": [float(x) for x in edges], "groups": {}}
    groups = [("", np.ones(len(t), bool))] if by is None else [(str(g), (frame[by] == g).to_numpy()) for g in sorted(frame[by].unique())]
    for name, mask in groups:
        out["groups"][name] = curve(t[mask], e[mask], edges)
    if by is not None:
        group = frame[by].to_numpy()
        chi, p = survdiff(t, e, group)
        out["logrank"] = {"chi2": float(chi), "p": float(p)}
        if site is not None:
            chi, p = survdiff(t, e, group, strata=frame[site].to_numpy())
            out["stratified"] = {"chi2": float(chi), "p": float(p)}
    return out


def rates(frame, time, event, by):
    """Exact intervals of Garwood 1936 for a rate, and of Clopper and Pearson 1934 for the share of two rates."""
    out, first = {}, None
    for name, rows in frame.groupby(by):
        d, t = int(rows[event].sum()), float(rows[time].sum())
        low = chi2.ppf(0.025, 2 * d) / 2 / t if d else 0.0
        row = {"events": d, "time": t, "rate": d / t, "lower": low, "upper": chi2.ppf(0.975, 2 * d + 2) / 2 / t}
        if first is None:
            first = (d, t)
        else:
            d0, t0 = first
            low, high = proportion_confint(d, d + d0, method="beta")
            row |= {"ratio": (d / t) / (d0 / t0), "ratio_lower": low / (1 - low) * t0 / t, "ratio_upper": high / (1 - high) * t0 / t}
            tails = [binomtest(d, d + d0, t / (t + t0), alternative=a).pvalue for a in ("less", "greater")]
            row["p"] = min(1.0, 2 * min(tails))
        out[str(name)] = row
    return out


def main(pda, shared=None):
    pda = pathlib.Path(pda)
    lung2, covid = pd.read_csv(pda / "lung2.csv"), pd.read_csv(pda / "covid.csv")
    months = list(range(0, 901, 30))
    covid["status"] = np.where(covid.death == 1, 1, 2)
    out = {"lung2": survival(lung2, "time", "status", months, "sex", "site")}
    out["lung2_rates"] = rates(lung2, "time", "status", "sex")
    days = list(range(0, 22))
    t, e = rounded(covid.los.to_numpy(float), covid.status.to_numpy(int), days)
    out["covid"] = {"edges": days} | {str(kind): incidence(t, e, days, kind) for kind in (1, 2)}
    if shared:
        shared = pathlib.Path(shared)
        lung = pd.read_csv(shared / "lung.csv")
        lung["dead"] = (lung.status == 2).astype(int)
        veteran, gbsg = pd.read_csv(shared / "veteran.csv"), pd.read_csv(shared / "gbsg.csv")
        out["lung"] = survival(lung, "time", "dead", list(range(0, 1001)), "sex")
        out["veteran"] = survival(veteran, "time", "status", list(range(0, 1001)), "celltype")
        out["gbsg"] = survival(gbsg, "rfstime", "status", list(range(0, 2401, 30)), "hormon")
    for case in out.values():
        # A grid of single days is long: the script's readers look at every twentieth.
        if len(case.get("edges", [])) > 100:
            for group in case["groups"].values():
                for name, value in group.items():
                    if isinstance(value, list) and len(value) > 100:
                        group[name] = value[::20]
            case["every"] = 20
    print(json.dumps(told(out), allow_nan=False).replace("}, ", "},\n"))


main(*sys.argv[1:])
