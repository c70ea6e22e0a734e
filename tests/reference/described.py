"""Principal components and k-means of tests/tests/models/described, by numpy and scikit-learn on the union of the sites. Starts of k-means are drawn
as the coordinator draws them; what becomes of them is scikit-learn's.

    pip install numpy pandas scipy scikit-learn
    python3 tests/reference/described.py > tests/reference/described.json
"""

import json
import pathlib

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import calinski_harabasz_score

DATA = pathlib.Path(__file__).parent.parent / "data"
HEART = ["age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"]


def heart(columns):
    sites = [pd.read_csv(DATA / "heart" / f"{site}.csv", names=HEART) for site in ["cleveland", "hungary", "long-beach", "switzerland"]]
    return pd.concat(sites)[columns].dropna()


def components(frame, standardise):
    x = frame.to_numpy(float)
    if standardise:
        x = (x - x.mean(0)) / x.std(0, ddof=1)
    fit = PCA(svd_solver="full").fit(x)
    directions = fit.components_
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])
    n, p = x.shape
    r = np.corrcoef(x.T)
    inverse = np.linalg.inv(r)
    partial = -inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    off = ~np.eye(p, dtype=bool)
    statistic = -(n - 1 - (2 * p + 5) / 6) * np.linalg.slogdet(r)[1]
    simple, rest = (r**2 * off), (partial**2 * off)
    return {
        "n": n,
        "variances": fit.explained_variance_.tolist(),
        "shares": fit.explained_variance_ratio_.tolist(),
        "directions": (directions * signs[:, None]).tolist(),
        "means": frame.mean().tolist(),
        "sds": frame.std(ddof=1).tolist(),
        "bartlett": statistic,
        "p": float(chi2.sf(statistic, p * (p - 1) / 2)),
        "kmo": float(simple.sum() / (simple.sum() + rest.sum())),
        "kmo_of_columns": (simple.sum(0) / (simple.sum(0) + rest.sum(0))).tolist(),
    }


def shares(seed, start):
    """SplitMix64 (Steele, Lea, Flood 2014), as shares of 1."""
    state = seed << 32 | start
    mask = (1 << 64) - 1
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        yield ((z >> 12) + 0.5) / (1 << 52)


def start(mean, covariance, weights, k, chance):
    """Centroids of points that are drawn from mean and covariance, as k-means++ chooses them (docs/STUDIES.md)."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T
    points = [mean + root @ norm.ppf([next(chance) for _ in mean]) for _ in range(50 * k)]
    points = np.array(points)
    at = lambda share: min(int(share * len(points)), len(points) - 1)
    chosen = [points[at(next(chance))]]
    nearest = (weights * (points - chosen[0]) ** 2).sum(1)
    while len(chosen) < k:
        left = next(chance) * nearest.sum()
        following = np.argmax(left - np.cumsum(nearest) < 0)
        chosen.append(points[following])
        nearest = np.minimum(nearest, (weights * (points - points[following]) ** 2).sum(1))
    return np.array(chosen)


def clusters(frame, ranges, k, starts=8, seed=1):
    x = frame.to_numpy(float)
    lo, hi = np.array(ranges, float).T
    z = (x - (lo + hi) / 2) / ((hi - lo) / 2)
    sd = z.std(0, ddof=1)
    weights = sd**-2 / (sd**-2).max()
    drawn = [start(z.mean(0), np.cov(z.T), weights, k, shares(seed, number)) for number in range(starts)]
    fits = [KMeans(k, init=at / sd, n_init=1, tol=0, max_iter=1000, algorithm="lloyd").fit(z / sd) for at in drawn]
    fit = min(fits, key=lambda fit: fit.inertia_)
    sizes = np.bincount(fit.labels_)
    order = np.argsort(-sizes, kind="stable")
    return {
        "sizes": sizes[order].tolist(),
        "centroids": [x[fit.labels_ == c].mean(0).tolist() for c in order],
        "within": float(fit.inertia_),
        "calinski_harabasz": float(calinski_harabasz_score(z / sd, fit.labels_)),
    }


def main():
    frame = heart(["age", "trestbps", "chol", "thalach", "oldpeak"])
    few = heart(["age", "trestbps", "thalach"])
    answers = {
        "heart, correlation": components(frame, True),
        "heart, covariance": components(frame, False),
        "heart, 3 clusters": clusters(few, [[0, 120], [0, 300], [40, 230]], 3),
    }
    print(json.dumps(answers, indent=1))


main()
